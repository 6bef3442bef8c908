/**
 * docs/errors.md from the one table of errors. A test holds the page to the table.
 */
import { errorTable } from '@runloop/core';

export function errorsPage(): string {
  const rows = Object.entries(errorTable).map(
    ([code, { kind, retry, exit }]) => `| \`${code}\` | ${kind} | ${retry ? 'yes' : 'no'} | ${exit} |`,
  );
  return `# Errors and exit codes

A failure has a code, a message that says what happened and where, and, where there is one, a hint that says what to do.

Exit codes of \`rlp\`: 0 ok · 1 the run or check failed · 2 usage · 10, 11, 12 router: shell, agent, timed out · 65 bad input · 66 not found · 69 daemon or provider unavailable · 70 a defect of rlp · 75 try again · 77 denied · 130 interrupted.

| code | kind | can trying again help | exit |
|---|---|---|---|
${rows.join('\n')}
`;
}
