/** Contacts from vCards 3.0 and 4.0: name, first address, first number, organisation, note. */
import ICAL from 'ical.js';
import { contactDelta, type Read } from './delta.ts';

/** `text` has line ends of one kind. */
export function* readVcards(text: string): Generator<Read> {
  let cards = 0;
  let card: string[] | undefined;
  for (const line of text.split('\n')) {
    if (/^BEGIN:VCARD\s*$/i.test(line)) {
      if (card !== undefined) yield { place: `card ${cards}`, problem: 'it has no END:VCARD' };
      card = [];
      cards += 1;
    }
    card?.push(line);
    if (card === undefined || !/^END:VCARD\s*$/i.test(line)) continue;
    yield readCard(`card ${cards}`, card.join('\n'));
    card = undefined;
  }
  if (card !== undefined) yield { place: `card ${cards}`, problem: 'it has no END:VCARD' };
  if (cards === 0) yield { place: 'the file', problem: 'it holds no vCard' };
}

function readCard(place: string, card: string): Read {
  try {
    const component = new ICAL.Component(ICAL.parse(card));
    const first = (name: string): string | undefined => {
      const value: unknown = component.getFirstPropertyValue(name);
      return Array.isArray(value)
        ? value.flat().filter(Boolean).join(' ')
        : typeof value === 'string'
          ? value
          : undefined;
    };
    const phone = first('tel')?.replace(/^tel:/, '');
    return contactDelta(place, {
      name: first('fn') ?? first('n'),
      email: first('email')?.replace(/^mailto:/, ''),
      phone,
      org: first('org'),
      notes: first('note'),
    });
  } catch (error) {
    return { place, problem: error instanceof Error ? error.message : String(error) };
  }
}
