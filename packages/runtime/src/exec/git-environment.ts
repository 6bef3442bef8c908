/**
 * What git is told in the sandbox of commands that only read, whatever the repository's own configuration says.
 *
 * A repository that somebody else wrote can name programs: hooks, a file system monitor, pagers, external diffs, signature
 * checkers, transports. None of them is started. Settings of the environment come after those of the repository. What
 * cannot be turned off for all names at once (`textconv`, `filter`) is turned off by the template's own options, or meets
 * the sandbox, where it can read what git can and reach nothing.
 */

const settings: readonly (readonly [name: string, value: string])[] = [
  // The files are another user's as the sandbox sees it.
  ['safe.directory', '*'],
  ['core.fsmonitor', 'false'],
  ['core.hooksPath', '/dev/null'],
  ['core.sshCommand', 'false'],
  ['core.alternateRefsCommand', 'false'],
  ['diff.external', ''],
  ['diff.ignoreSubmodules', 'all'],
  ['diff.submodule', 'short'],
  ['status.submoduleSummary', 'false'],
  ['log.showSignature', 'false'],
  ['gpg.program', 'false'],
  ['gpg.ssh.program', 'false'],
  ['gpg.x509.program', 'false'],
  ['credential.helper', ''],
];

export const gitEnvironment: { readonly [name: string]: string } = {
  GIT_CONFIG_NOSYSTEM: '1',
  GIT_CONFIG_GLOBAL: '/dev/null',
  GIT_ATTR_NOSYSTEM: '1',
  GIT_OPTIONAL_LOCKS: '0',
  GIT_NO_LAZY_FETCH: '1',
  // No transport has this name, so none is used.
  GIT_ALLOW_PROTOCOL: 'none',
  GIT_TERMINAL_PROMPT: '0',
  GIT_PAGER: 'cat',
  PAGER: 'cat',
  GIT_EDITOR: 'false',
  GIT_CONFIG_COUNT: String(settings.length),
  ...Object.fromEntries(
    settings.flatMap(([name, value], index) => [
      [`GIT_CONFIG_KEY_${index}`, name],
      [`GIT_CONFIG_VALUE_${index}`, value],
    ]),
  ),
};
