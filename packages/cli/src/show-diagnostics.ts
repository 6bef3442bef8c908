/**
 * Shows the diagnostics that a refused opening carries.
 */
import type { Failure } from '@runloop/core';
import { type Diagnostic, renderDiagnostic } from '@runloop/openings';
import type { Tools } from './command.ts';

/** Mistakes shown at once: the first ones are often the reason of the others. */
const shownMax = 20;

/** Whether the failure carried any; they were shown if so. */
export function showDiagnostics(problem: Failure, tools: Tools): boolean {
  const list = problem.details?.['diagnostics'];
  if (!Array.isArray(list) || list.length === 0) return false;
  if (tools.json) tools.screen.json({ error: problem });
  else for (const item of (list as readonly Diagnostic[]).slice(0, shownMax)) tools.screen.note(renderDiagnostic(item));
  if (!tools.json && list.length > shownMax)
    tools.screen.note(`… and ${list.length - shownMax} more; all of them: --json`);
  return true;
}
