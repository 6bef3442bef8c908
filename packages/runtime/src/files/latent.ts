/**
 * Places that something executes later without anybody naming them: a login, entering a directory, opening an editor, a
 * version control command, a timer. Writing there is asked about.
 *
 * 1. The list is data. A pattern is one or more parts of a path that follow one another, anywhere in it; what lies below is
 *    meant too.
 * 2. What only runs when a person names it (sources, a Makefile, a package's scripts) is not on it.
 * 3. It errs towards asking: letter case is ignored.
 */
import { isWithin } from './fs-grants.ts';

const names = [
  // shells and sessions
  '.bashrc .bash_profile .bash_login .bash_logout .bash_aliases .profile .zshrc .zshenv .zprofile .zlogin .zlogout .kshrc',
  '.cshrc .tcshrc .login .logout .inputrc .xprofile .xinitrc .xsession .xsessionrc .pam_environment .envrc .direnvrc',
  '.tmux.conf .screenrc .config/autostart .config/systemd .config/environment.d .config/fish .config/direnv .config/tmux',
  '.local/share/systemd .local/share/applications .local/share/dbus-1 .local/bin .config/plasma-workspace',
  // version control and what it starts
  '.git .hg .svn .bzr .gitconfig .hgrc .gitmodules .gitattributes .config/git .githooks .husky .github/workflows .gitlab-ci.yml',
  // keys and remote login
  '.ssh .gnupg authorized_keys .netrc',
  // editors and debuggers
  '.vscode .idea .devcontainer .vimrc .gvimrc .nvimrc .exrc .vim .emacs .emacs.d .dir-locals.el .gdbinit',
  '.lldbinit .config/nvim .config/code .config/emacs .config/helix .nanorc',
  // package managers and interpreters that read code or commands from where they are started
  '.npmrc .yarnrc .yarnrc.yml .pnpmfile.cjs .pythonrc sitecustomize.py usercustomize.py .cargo/config .cargo/config.toml .cargo/bin',
  'node_modules/.bin .venv/bin venv/bin .mailcap .config/pip .pypirc .irbrc .rprofile .ghci',
  // timers
  'crontab cron.d cron.daily cron.hourly var/spool/cron var/spool/at',
];
const patterns: readonly string[] = names.flatMap((line) => line.split(' '));

/** Whole trees of the system. */
const systemDirs = [
  '/etc',
  '/usr',
  '/bin',
  '/sbin',
  '/lib',
  '/lib32',
  '/lib64',
  '/libx32',
  '/boot',
  '/opt',
  '/nix',
  '/snap',
];

export type LatentOptions = {
  /** Directories that commands are looked for in. */
  readonly commandDirs: readonly string[];
};

/** Whether something may execute what is written to `path`. */
export function isLatent(path: string, { commandDirs }: LatentOptions): boolean {
  const text = `${path.toLowerCase()}/`;
  return (
    patterns.some((pattern) => text.includes(`/${pattern}/`)) ||
    systemDirs.some((dir) => isWithin(path, dir)) ||
    commandDirs.some((dir) => dir.startsWith('/') && isWithin(path, dir))
  );
}

/** Whether a directory of that path could bring such a place with it, as `x` renamed to `.config` would. */
export function holdsLatent(path: string, options: LatentOptions): boolean {
  const text = `${path.toLowerCase()}/`;
  return (
    isLatent(path, options) ||
    patterns.some((pattern) => {
      const parts = pattern.split('/');
      return parts.some((_, count) => count > 0 && text.endsWith(`/${parts.slice(0, count).join('/')}/`));
    }) ||
    [...systemDirs, ...options.commandDirs].some((dir) => isWithin(dir, path))
  );
}
