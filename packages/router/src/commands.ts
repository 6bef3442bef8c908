/**
 * What is known of commands without asking the machine: names, how they take operands, subcommands.
 *
 * 1. A name in these tables is a command even where it is not installed, except those that are English words:
 *    they need a look at PATH, or arguments that only a command has.
 * 2. `shape` says what a command can take at all: `kill the process` cannot run.
 */
import { words, wordSet as list, type WordSet } from './word-set.ts';

/** Builtins of bash, zsh and fish that stand where a command stands. */
export const builtins: WordSet = list(`
. : [ alias bg bind bindkey break builtin caller cd chdir command compgen complete compopt continue declare dirs disown
echo enable eval exec exit export false fc fg getopts hash help history jobs kill let local logout mapfile popd printf
pushd pwd read readarray readonly return set shift shopt source suspend test times trap true type typeset ulimit umask
unalias unset wait autoload emulate functions print rehash setopt unsetopt unfunction vared where whence zle zmodload
zstyle zcompile abbr argparse contains count fish_config fish_add_path funced funcsave isatty math random set_color
status string noglob nocorrect
`);

/** Words that open a compound command. */
export const openers: WordSet = list('if for while until case select function [[ (( { begin switch foreach repeat');

/** Words that only close or continue one: none begins a line that can run. */
export const followers: WordSet = list('then else elif fi do done esac in end } ]]');

/** What comes after these is a command again. */
export const prefixes: WordSet = list(`
sudo doas time nice nohup exec command builtin env xargs watch timeout strace ltrace stdbuf ionice chronic noglob
nocorrect setsid unbuffer caffeinate proxychains fakeroot coproc and or not begin then else do ! { if while until elif
gtime taskset chrt systemd-run parallel entr hyperfine valgrind gdb rlwrap torsocks firejail
`);

/** Options of prefixes that take the next word. */
export const prefixValues: { readonly [name: string]: WordSet } = {
  sudo: list('-u -g -h -p -C -r -t -U -D -R'),
  doas: list('-u -C'),
  nice: list('-n'),
  env: list('-u -C -S'),
  xargs: list('-n -I -P -L -d -s -a -E'),
  watch: list('-n --interval'),
  timeout: list('-s -k'),
  strace: list('-p -e -o -s -P -u'),
  ltrace: list('-p -e -o -s'),
  stdbuf: list('-i -o -e'),
  ionice: list('-c -n -p'),
  taskset: list('-c -p'),
  time: list('-f -o'),
  exec: list('-a'),
  parallel: list('-j'),
  hyperfine: list('-w -r'),
};

/** Their operands are text: whatever it says, the shell runs it. */
export const freeText: WordSet = list(`
echo printf say espeak espeak-ng figlet toilet cowsay cowthink ponysay logger wall notify-send banner expr eval alert jrnl
todo.sh aichat sgpt rlp zenity dialog whiptail kdialog spd-say festival tgpt
`);

/** Their first operand is a pattern or a name of any kind. */
export const patternFirst: WordSet = list(`
grep egrep fgrep rg ag ack zgrep pgrep pkill killall locate plocate mlocate apropos sed awk gawk mawk perl
mkdir adduser useradd userdel touch dict abbr mkfifo hostnamectl jq yq fzf fd fdfind strings
`);

/** Commands whose operands name commands or documentation. */
export const aboutCommands: WordSet = list(
  'man help which type whatis whereis tldr info where whence hash apropos command',
);

/** What a command can take at all. */
export type Shape =
  | 'numbers'
  | 'none'
  | 'one'
  | 'flagged'
  | 'test'
  | 'find'
  | 'make'
  | 'who'
  | 'let'
  | 'word'
  | 'service'
  | 'at'
  | 'date'
  | 'names';

export const shapes: ReadonlyMap<string, Shape> = new Map<string, Shape>([
  ...words('kill sleep wait fg bg exit return shift break continue factor disown').map(
    (name) => [name, 'numbers'] as const,
  ),
  ...words(
    'true false pwd clear top htop free uptime whoami sync reset history jobs logout times dirs arch tty nproc reboot halt poweroff startx',
  ).map((name) => [name, 'none'] as const),
  ...words('w users id groups last lastb finger host').map((name) => [name, 'one'] as const),
  ...words('cut install').map((name) => [name, 'flagged'] as const),
  ...words('read export declare local readonly typeset unset').map((name) => [name, 'names'] as const),
  ['test', 'test'],
  ['find', 'find'],
  ['make', 'make'],
  ['gmake', 'make'],
  ['who', 'who'],
  ['let', 'let'],
  ['at', 'at'],
  ['look', 'word'],
  ['service', 'service'],
  ['date', 'date'],
  ['cal', 'date'],
  ['ncal', 'date'],
]);

/** Names that are English words too: less language is enough, and the name alone is not. */
export const englishNames: WordSet = list(`
find make time cat sort cut who watch test kill open write look go tell man more less head join split touch date file
host last nice wait type which read set let if for while until case select function yes true false print top free w
install say help history jobs source export alias local declare return continue break hash bind trap command enable
disable suspend complete disown exit exec eval where whatis whereis mail talk mesg wall link unlink fold expand paste
comm tail tee nl factor units cal at batch reset clear script screen users groups id finger sleep sync shutdown reboot
halt mount patch trace route service start stop run play show view edit convert compare import display identify animate
stream import apply prove look banner spell calendar fortune column rename strings size strip as dot neat snap
apt pick glow bat code just task note tree watch launch status string count contains random math functions
emulate abbr begin end not and or jump fix order mix rake rails cargo brew node ruby python swift rust java dig ping
`);

/** Verbs that a machine may have as a command; where it has not, they are just verbs. */
export const verbNames: WordSet = list(`
ask get put post plot render record report reply review search send sum translate update upgrade wish play cast draw move
copy delete remove add list change create describe explain buy book call check choose close rename convert compare
`);

/** English names that every system has, and names that stand for themselves: commands even where PATH lacks them. */
export const everywhere: WordSet = list(`
find make time cat sort cut who watch test kill man more less head join split touch date file last nice type which w info
cargo apt brew node ruby python java bat dig rails rake pip tree ping strings fold tail tee mount nl column top free
paste comm expand users groups id mail screen script reset clear sleep sync reboot cal ncal look tty arch yes uptime expr whatis whereis
apropos logger service wall dmesg
`);

/** Their own grammar is made of such words as `from` and `to`. */
export const wordGrammars: WordSet = list('ufw ip nft tc nmcli');

/** Subcommands after which any text may stand. */
export const textSubcommands: WordSet = new Set([
  'ollama run',
  'tmux display-message',
  'gh copilot',
  'task add',
  'todo add',
  'llm prompt',
]);

/** Names that only a command has. */
export const knownNames: WordSet = list(`
ls ll la l cd cp mv rm ln mkdir rmdir chmod chown chgrp chattr lsattr stat du df dd tar gzip gunzip zcat bzip2 bunzip2 xz
unxz zstd unzstd zip unzip 7z 7za rar unrar cpio ar ranlib nm objdump objcopy readelf ldd ld gcc g++ cc c++ clang clang++
gdb lldb valgrind strace ltrace perf cmake ninja meson autoconf automake configure bazel scons ant mvn gradle gradlew sbt
javac java jar kotlin kotlinc scala scalac groovy python python2 python3 ipython pip pip3 pipx pipenv poetry uv virtualenv
conda mamba pytest tox ruff black mypy flake8 pylint isort node nodejs npm npx yarn pnpm bun deno tsc eslint prettier jest
vitest webpack vite ts-node nvm fnm volta ruby gem bundle bundler rake rails rspec irb perl cpan php composer artisan lua
luajit rustc rustup cargo rustfmt gofmt ghc cabal stack ocaml opam dune elixir iex mix erl rebar3 R Rscript julia swift
dotnet nuget git gitk tig hg svn cvs bzr gh glab hub docker docker-compose podman buildah skopeo kubectl k9s kubectx kubens
helm minikube kind k3s k3d oc terraform terragrunt tofu packer vagrant ansible ansible-playbook ansible-galaxy puppet chef
salt aws gcloud gsutil bq az doctl heroku fly flyctl vercel netlify firebase wrangler serverless sam cdk pulumi eksctl
systemctl journalctl loginctl timedatectl hostnamectl localectl networkctl resolvectl systemd-analyze systemd-run
ssh scp sftp rsync ssh-keygen ssh-add ssh-agent ssh-copy-id mosh tmux zellij byobu curl wget aria2c http https httpie
nc ncat netcat socat telnet ftp lftp nmap tcpdump tshark wireshark iptables ip6tables nft ufw firewall-cmd ip ifconfig
iwconfig nmcli ss netstat dig nslookup whois traceroute tracepath mtr ping6 arp ethtool iw brctl openssl gpg gpg2 age pass
base64 base32 md5sum sha1sum sha256sum sha512sum b2sum cksum xxd hexdump od hd grep egrep fgrep rg ag ack sed awk gawk mawk
tr uniq wc tac rev shuf seq bc dc jq yq xmllint xmlstarlet csvkit mlr fd fdfind fzf exa eza lsd bat batcat zoxide
ncdu htop btop atop iotop iftop nethogs glances vmstat iostat mpstat sar pidstat lsof fuser pgrep pkill pidof killall
renice nohup ps pstree chroot unshare nsenter lscpu lsblk lsusb lspci lsmod modprobe insmod rmmod dmesg udevadm fdisk
parted gparted mkfs mkfs.ext4 mkswap swapon swapoff fsck e2fsck tune2fs resize2fs blkid umount losetup cryptsetup lvm
lvcreate pvcreate vgcreate mdadm smartctl hdparm nvme useradd usermod userdel groupadd adduser deluser addgroup passwd
chsh chage visudo su sudo doas crontab atq atrm anacron vi vim nvim nano emacs emacsclient micro hx subl code ed ex
apt apt-get apt-cache apt-mark aptitude dpkg dpkg-query dpkg-reconfigure yum dnf rpm zypper pacman yay paru apk emerge
nix nix-env nix-shell nixos-rebuild home-manager snap flatpak brew port pkg pkg_add xbps-install mktemp realpath readlink
basename dirname tee printenv env uname hostname lsb_release whoami logname locale getent getconf ulimit tput stty
reset xclip xsel pbcopy pbpaste wl-copy wl-paste xdg-open xrandr xset xdotool ffmpeg ffprobe mpv vlc mplayer sox
imagemagick magick mogrify montage exiftool pandoc pdflatex xelatex latexmk bibtex pdftotext pdftk qpdf ghostscript gs
youtube-dl yt-dlp mysql mysqldump mysqladmin psql pg_dump pg_restore createdb dropdb sqlite3 redis-cli redis-server mongo
mongosh mongodump influx clickhouse-client nginx apachectl apache2ctl a2ensite certbot caddy haproxy varnishd uvicorn
gunicorn flask django-admin celery pm2 nodemon forever supervisorctl consul vault nomad etcdctl kafka-topics rabbitmqctl
qemu-system-x86_64 qemu-img virsh virt-install lxc lxd multipass vboxmanage wasmtime wasm-pack emcc protoc grpcurl buf
buck2 pre-commit shellcheck shfmt hadolint yamllint jsonlint act direnv asdf mise sdk rbenv pyenv nodenv jenv goenv
rclone restic borg duplicity syncthing logrotate update-alternatives update-rc.d chkconfig rc-service launchctl defaults
diskutil hdiutil networksetup softwareupdate sw_vers mdfind mdls sips xcodebuild xcrun pod fastlane adb fastboot flutter
dart expo ionic ng vue create-react-app nest prisma drizzle-kit supabase stripe twilio tree diff diff3 sdiff cmp colordiff
delta vimdiff md5 shasum split csplit fmt pr hwclock ntpdate chronyc rlp runloopd agtop autossh sshfs ab wrk hey siege k6
vegeta locust pv dos2unix unix2dos iconv gettext msgfmt nproc numfmt truncate fallocate shred xargs parallel entr inotifywait
tldr cheat howdoi ncal exa cscope ctags etags indent doxygen gcov lcov gprof go gofmt golangci-lint dlv zsh bash fish sh
dash ksh csh tcsh elvish nu pwsh lazygit lazydocker stern kustomize skaffold tilt argocd istioctl flux velero trivy grype
syft cosign crane dive ctop nerdctl crictl ctr jupyter streamlit black spark-submit hadoop hdfs hive beeline dbt airflow
tmuxinator xdg-mime gsettings dconf pactl amixer alsamixer bluetoothctl rfkill ollama figlet cowsay cowthink espeak espeak-ng notify-send zenity whiptail kdialog spd-say sgpt todo.sh upower acpi sensors dmidecode lshw hwinfo
`);

/** Subcommands: with one of these, the words after them are the command's business. */
export const subcommands: ReadonlyMap<string, WordSet> = new Map([
  [
    'git',
    list(`add am annotate apply archive bisect blame branch bundle cat-file check-ignore checkout cherry cherry-pick clean
    clone commit config count-objects describe diff difftool fetch filter-branch format-patch fsck gc grep help init lfs log
    ls-files ls-remote ls-tree maintenance merge merge-base mergetool mv name-rev notes prune pull push range-diff rebase
    reflog remote repack replace rerere reset restore rev-list rev-parse revert rm send-email shortlog show show-ref
    sparse-checkout stash status submodule switch symbolic-ref tag update-index update-ref version whatchanged worktree
    co st br ci di lg df amend unstage last aliases flow`),
  ],
  [
    'docker',
    list(`attach build builder buildx commit compose config container context cp create diff events exec export history
    image images import info inspect kill load login logout logs manifest network node pause plugin port ps pull push rename
    restart rm rmi run save scout search secret service stack start stats stop swarm system tag top trust unpause update
    version volume wait`),
  ],
  [
    'kubectl',
    list(`annotate api-resources api-versions apply attach auth autoscale certificate cluster-info completion config
    cordon cp create debug delete describe diff drain edit events exec explain expose get kustomize label logs options patch
    plugin port-forward proxy replace rollout run scale set taint top uncordon version wait`),
  ],
  [
    'npm',
    list(`access adduser audit bin bugs ci cache config dedupe deprecate diff dist-tag docs doctor exec explain fund help
    i init install it link list login logout ls org outdated owner pack ping pkg prefix profile prune publish query rebuild
    repo restart root run run-script search shrinkwrap star start stop t team test token un uninstall unpublish update
    upgrade version view whoami create`),
  ],
  [
    'yarn',
    list(
      'add audit build cache check config create dev dlx exec global help import info init install link lint list node outdated pack plugin publish remove run set start test unlink unplug up upgrade upgrade-interactive version why workspace workspaces',
    ),
  ],
  [
    'pnpm',
    list(
      'add audit build config create dev dlx exec fetch i import init install link list lint ls outdated pack prune publish rebuild remove root run start store test up update why rm',
    ),
  ],
  ['bun', list('add build create dev init install link outdated pm remove run test update upgrade x')],
  [
    'cargo',
    list(
      'add audit bench build check clean clippy doc expand fetch fix fmt generate-lockfile init install login metadata miri new nextest outdated package publish remove run rustc rustdoc search test tree uninstall update vendor version watch yank b c r t',
    ),
  ],
  [
    'go',
    list('bug build clean doc env fix fmt generate get install list mod run telemetry test tool version vet work'),
  ],
  [
    'pip',
    list('cache check config debug download freeze hash help index inspect install list search show uninstall wheel'),
  ],
  [
    'poetry',
    list('add build check config env export init install lock new publish remove run self shell show update version'),
  ],
  ['uv', list('add build cache export init lock pip publish python remove run self sync tool tree venv version')],
  [
    'apt',
    list(
      'autoclean autoremove build-dep changelog clean depends dist-upgrade download edit-sources full-upgrade help install list moo policy purge rdepends reinstall remove satisfy search show source update upgrade',
    ),
  ],
  [
    'brew',
    list(
      'analytics bundle cask cat cleanup commands config deps desc doctor edit help home info install leaves link list log ls outdated pin postinstall reinstall search services switch tap uninstall unlink unpin untap update upgrade uses',
    ),
  ],
  [
    'systemctl',
    list(
      'cancel cat daemon-reexec daemon-reload default disable edit emergency enable get-default halt hibernate is-active is-enabled is-failed isolate kill link list-dependencies list-jobs list-sockets list-timers list-unit-files list-units mask poweroff preset reboot reload reload-or-restart reset-failed restart revert set-default set-property show start status stop suspend try-restart unmask',
    ),
  ],
  [
    'gh',
    list(
      'alias api attestation auth browse cache codespace completion config copilot extension gist gpg-key issue label org pr project release repo ruleset run search secret ssh-key status variable workflow',
    ),
  ],
  [
    'terraform',
    list(
      'apply console destroy fmt force-unlock get graph import init login logout metadata output plan providers refresh show state taint test untaint validate version workspace',
    ),
  ],
  [
    'helm',
    list(
      'completion create dependency env get history install lint list ls package plugin pull push registry repo rollback search show status template test uninstall upgrade verify version',
    ),
  ],
  [
    'svn',
    list(
      'add blame cat checkout ci cleanup co commit copy delete diff export help import info list log merge mkdir move propset resolve revert status switch up update',
    ),
  ],
  [
    'hg',
    list(
      'add annotate bookmark branch cat clone commit diff export graft help import init log merge pull push rebase revert shelve status strip summary tag update',
    ),
  ],
  ['conda', list('activate clean config create deactivate env info init install list remove run search update')],
  ['service', list('--status-all')],
  ['snap', list('connect disable enable find info install list refresh remove revert services start stop')],
  ['flatpak', list('install list override remote-add remote-ls remotes repair run search uninstall update')],
  ['mix', list('compile deps.get ecto.migrate format new phx.new phx.server release run test deps credo dialyzer')],
  ['rails', list('console c db:migrate db:seed destroy generate g new routes runner server s test')],
  ['dotnet', list('add build clean ef format list new nuget pack publish remove restore run sln test tool watch')],
  ['flutter', list('analyze build clean config create devices doctor emulators pub run test upgrade')],
  ['ollama', list('create list ps pull push rm run serve show stop')],
  ['nix', list('build develop flake fmt profile repl run search shell store')],
  [
    'aws',
    list(
      'cloudformation cloudfront cloudwatch configure dynamodb ec2 ecr ecs eks events iam kms lambda logs rds route53 s3 s3api secretsmanager ses sns sqs ssm sts',
    ),
  ],
  [
    'gcloud',
    list(
      'app auth beta components compute config container dns functions iam info init logging projects run secrets services sql storage version',
    ),
  ],
  ['ip', list('a addr address l link maddress monitor n neigh netns r route rule tunnel xfrm')],
  ['ufw', list('allow app default delete deny disable enable insert limit logging reject reload reset status')],
  ['rustup', list('component default doc override run self show target toolchain uninstall update which')],
  ['just', list('build test run fmt lint deploy clean check')],
]);

const sameAs: { readonly [name: string]: string } = {
  podman: 'docker',
  'apt-get': 'apt',
  aptitude: 'apt',
  dnf: 'apt',
  yum: 'apt',
  pip3: 'pip',
  tofu: 'terraform',
  oc: 'kubectl',
  k: 'kubectl',
  g: 'git',
  pipx: 'pip',
  nerdctl: 'docker',
  'docker-compose': 'docker',
};

export function subcommandsOf(name: string): WordSet | undefined {
  return subcommands.get(sameAs[name] ?? name);
}

/** Names that make targets and folders have in every project. */
export const commonNames: WordSet = list(`
all clean install uninstall test tests check build run lint format fmt docs doc dist distclean help release deploy dev start
stop up down restart logs shell docker image push pull publish package bench coverage cover e2e unit integration serve watch
debug prod production staging local setup bootstrap init deps dependencies vendor generate gen proto migrate seed html pdf
man info modules menuconfig defconfig config configure kernel world buildworld coffee backup verify validate typecheck tidy
src source lib libs bin obj out target include packages apps app api cmd internal pkg web server client frontend backend
assets static public scripts tools examples example spec etc var usr home opt tmp root dev proc sys boot node_modules data
images photos music videos downloads documents desktop pictures logs log cache tests fixtures templates views models
README LICENSE Makefile Dockerfile CHANGELOG venv env content posts pages components migrations
`);
