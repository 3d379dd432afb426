#!/bin/sh
# `just template-update`: merge the newest version of the template into the project, then list the remaining manual steps.
# Exit codes: 0 success, 3 conflicts to resolve, 4 the update runs code of the template; others come from Copier or uv.
#
# All code is in a function, so that the shell has read the whole file before the update changes it.
set -eu

update() {
    unset UV_LOCKED UV_FROZEN # the update changes the lock file
    # Copier discards edits of tracked files that a personal gitignore excludes. Let git ignore only untracked files.
    ignored=$(mktemp)
    git -c core.quotePath=false ls-files --full-name --others --ignored --exclude-standard --directory |
        sed 's|^|/|' >"$ignored"
    number=${GIT_CONFIG_COUNT:-0}
    export "GIT_CONFIG_KEY_$number=core.excludesFile" "GIT_CONFIG_VALUE_$number=$ignored" GIT_CONFIG_COUNT=$((number + 1))
    code=0
    # With few context lines, an edit may be applied to a copy of the same lines elsewhere in the file.
    uvx --from 'copier>=9.19.1' copier update --defaults --context-lines 100 "$@" || code=$?
    rm "$ignored"
    if [ "$code" -eq 4 ]; then
        cat >&2 <<'END'

Nothing was changed. This update runs a script of the template, which moves your edits to the new location of moved files.
Copier runs it only if you trust the template:

    uv run just template-update --trust      # same as: uvx copier update --trust --defaults
END
    fi
    [ "$code" -eq 0 ] || return "$code"

    # Copier exits with 0 even if there are conflicts. Parts it could not merge are in `.rej` files.
    conflicts=$(
        git -c core.quotePath=false diff --name-only --relative --diff-filter=U
        git -c core.quotePath=false ls-files --others --exclude-standard -- '*.rej'
    )
    # uv cannot read a pyproject.toml with conflict markers.
    printf '%s\n' "$conflicts" | grep -qxF pyproject.toml || uv lock
    [ -n "$conflicts" ] || return 0
    cat >&2 <<END

You and the template changed the same lines in:

$(printf '%s\n' "$conflicts" | sed 's/^/    /')

Resolve the conflicts between <<<<<<< and >>>>>>>, and delete these markers. Then run:

    git add --all .
    uv lock
    uv run just check

To cancel the update: git restore --staged --worktree . && git clean --force -d
END
    return 3
}

update "$@"; exit
