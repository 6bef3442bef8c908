/**
 * What files of openings are called.
 */
import type { Surface } from './format.ts';

const endings: { readonly [surface in Surface]: string } = { yaml: '.yaml', brace: '.opening' };

/** The files in which an opening of this name may lie, the first one that exists counts. */
export function openingFiles(name: string): readonly string[] {
  return Object.values(endings).map((ending) => `${name}${ending}`);
}

/** The name that the file gives an opening; undefined where it is none. */
export function openingNameOf(file: string): string | undefined {
  const ending = Object.values(endings).find((one) => file.endsWith(one));
  return ending === undefined ? undefined : file.slice(0, -ending.length);
}

/** The file's name with the ending of a surface. */
export function renamedTo(file: string, surface: Surface): string {
  return `${openingNameOf(file) ?? file.replace(/\.yml$/, '')}${endings[surface]}`;
}
