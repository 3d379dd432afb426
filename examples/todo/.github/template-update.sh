#!/bin/sh
# `just template-update`: merge the newest version of the template into the project, then say what is left to do.
# Exit codes: 0 done, 3 conflicts to resolve, 4 the update runs code of the template; any other is Copier's or uv's.
#
# All of it stands in a function, so the shell has read the file to its end before the update changes it.
set -eu

update() {
    unset UV_LOCKED UV_FROZEN # here the lock file is meant to change
    code=0
    # Looked for with few lines around it, an edit may end up in a copy of the same lines.
    uvx --from 'copier>=9.19.1' copier update --defaults --context-lines 100 "$@" || code=$?
    if [ "$code" -eq 4 ]; then
        cat >&2 <<'END'

Nothing has changed. This update runs a script of the template, to take your edits along where files have moved. Copier
does that only for those who trust the template. Run it yourself:

    uv run just template-update --trust      # the same as: uvx copier update --trust --defaults
END
    fi
    [ "$code" -eq 0 ] || return "$code"

    # Copier ends with 0 all the same. A part that could not be merged at all is in a file `.rej`.
    conflicts=$(
        git -c core.quotePath=false diff --name-only --relative --diff-filter=U
        git -c core.quotePath=false ls-files --others --exclude-standard -- '*.rej'
    )
    # uv cannot read a pyproject.toml with conflict markers.
    printf '%s\n' "$conflicts" | grep -qxF pyproject.toml || uv lock
    [ -n "$conflicts" ] || return 0
    cat >&2 <<END

You and the template have changed the same lines of:

$(printf '%s\n' "$conflicts" | sed 's/^/    /')

Keep what is right between <<<<<<< and >>>>>>>, and delete these markers. Then:

    git add --all .
    uv lock
    uv run just check

To give up: git restore --staged --worktree . && git clean --force -d
END
    return 3
}

update "$@"; exit
