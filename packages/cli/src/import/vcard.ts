/** Contacts from vCards 3.0 and 4.0: name, first address, first number, organisation, note. */
import ICAL from 'ical.js';
import { contactDelta, type Read } from './delta.ts';

export function* readVcards(text: string): Generator<Read> {
  const cards = text.match(/^BEGIN:VCARD\r?$[\s\S]*?^END:VCARD\r?$/gim) ?? [];
  if (cards.length === 0) yield { place: 'the file', problem: 'it holds no vCard' };
  for (const [i, card] of cards.entries()) yield readCard(`card ${i + 1}`, card);
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
