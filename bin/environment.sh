# Sourced by the programs in bin/: sets up this clone's own virtual environment, once.
#
# prepare NAME EXTRAS…   installs the project with the extras into .venv, unless that was done already for
#                        this very setup.cfg and pyproject.toml, in this very place. Progress goes to stderr.

here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
venv=$here/.venv
export PIP_DISABLE_PIP_VERSION_CHECK=1

log() { printf 'hookfarm: %s\n' "$*" >&2; }

find_python() {
  local name
  for name in python3 python3.14 python3.13 python3.12 python3.11 python; do
    if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      printf '%s\n' "$name"
      return
    fi
  done
  log 'Python 3.11 or newer is needed and was not found'
  exit 1
}

wanted_stamp() { printf '%s\n' "$here" "$@" && cat "$here/setup.cfg" "$here/pyproject.toml"; }

prepare() {
  local stamp=$venv/.installed-$1
  if [[ -x $venv/bin/python && -f $stamp && $(<"$stamp") == "$(wanted_stamp "${@:2}")" ]]; then
    return
  fi
  mkdir -p "$venv"
  exec 9>"$venv/.lock"
  flock 9 2>/dev/null || true
  if [[ ! -f $stamp || $(<"$stamp") != "$(wanted_stamp "${@:2}")" ]]; then
    install "${@:2}"
    wanted_stamp "${@:2}" >"$stamp"
    wanted_stamp >"$venv/.installed-run" # Whatever the extras, the project itself is there now.
  fi
  exec 9>&-
}

install() {
  local python extras=''
  python=$(find_python)
  if ! "$venv/bin/python" -c '' 2>/dev/null; then
    log "creating .venv with $("$python" --version)"
    "$python" -m venv "$venv" >&2
  fi
  (($#)) && extras="[$(IFS=,; printf '%s' "$*")]"
  log "installing hookfarm$extras and what it needs (under a minute)"
  if ! "$venv/bin/python" -m pip install --no-cache-dir --editable "$here$extras" 2>&1 | tee "$venv/install.log" | progress; then
    printf '\n' >&2
    tail -n 20 "$venv/install.log" >&2
    log "the installation failed; all of its output is in $venv/install.log"
    exit 1
  fi
}

# One line that changes on a terminal, a line per package elsewhere.
progress() {
  local word rest
  while read -r word rest; do
    [[ $word == Collecting || $word == Installing ]] || continue
    if [[ -t 2 ]]; then
      printf '\r\033[K  %s %.60s' "$word" "$rest" >&2
    else
      printf '  %s %.60s\n' "$word" "$rest" >&2
    fi
  done
  if [[ -t 2 ]]; then printf '\r\033[K' >&2; fi
}
