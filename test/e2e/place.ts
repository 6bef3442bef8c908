/** Where the end-to-end tests keep their things. */
import { join } from 'node:path';

export const root: string = join(import.meta.dirname, '..', '..');
export const template: string = join(root, '.cache', 'e2e-home');
export const agentDir = (name: string): string => join(import.meta.dirname, 'agents', name);
