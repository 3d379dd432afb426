#!/bin/sh
# Used by .github/workflows/template.yml: if the template has a newer version, commit the update to a separate branch and
# open a pull request, or update the open one. Run it on the main branch, with everything committed.
#
# GH_TOKEN is only for git and gh. Copier and uv run third-party code, so they do not get it.
#
# WITHOUT_TOKEN=true: there is no secret TEMPLATE_TOKEN, so GitHub does not accept changes to workflows.
#
# All code is in functions, so that the shell has read the whole file before the update changes it.
set -eu

branch=template-update
answers=.copier-answers.yml

answer() {
    sed -n "s/^$1: *//p" "$answers" | tr -d "\"'"
}

stop() {
    printf '\n%s\n' "$1" >&2
    exit "${2:-1}"
}

# Formats lines as a Markdown list.
listed() {
    printf '%s\n' "$1" | sed "s/.*/- \`&\`/"
}

body() {
    cat <<END
Updates from version $old to $new of the template, $source. See "Follow the template" in \`CONTRIBUTING.md\`.
END
    [ -z "$conflicts" ] || cat <<END

### Conflicts to resolve

You and the template changed the same lines. These files have conflict markers:

$(listed "$conflicts")

Check out the branch, and resolve the conflicts between \`<<<<<<<\` and \`>>>>>>>\`:

    git fetch origin && git switch $branch
    git grep -nE '^(<{7}|>{7}) '
    uv lock
    uv run just check
    git commit --all --message "Resolve the conflicts" && git push
END
    [ -z "$left_out" ] || cat <<END

### Not included: workflows

GitHub's default token cannot change these files, so this pull request does not update them:

$(listed "$left_out")

Merge this pull request only if you do not want these changes, because later updates will not include them again. To include
them, add the secret \`TEMPLATE_TOKEN\` and run the workflow "Template" again. Or update on your own machine instead:

    git switch --create follow-the-template
    uv run just template-update
END
    [ "${WITHOUT_TOKEN:-}" != true ] || cat <<END

### Start the checks manually

GitHub does not run checks for pull requests opened with its default token. Press "Approve workflows to run". If there is no
such button, close and reopen this pull request.
END
}

# Sets `number`. Exits if the branch has commits by another author, who may be resolving conflicts.
find_pull_request() {
    # A fork may have a branch of the same name.
    number=$(gh pr list --head "$branch" --state open --json number,isCrossRepository \
        --jq '.[] | select(.isCrossRepository | not) | .number')
    [ -n "$number" ] || return 0
    git fetch --quiet origin "$branch"
    pushed=$(git rev-parse FETCH_HEAD)
    if git log --format=%ce "HEAD..$pushed" | grep -qvxF "$(git config user.email)"; then
        stop "Pull request #$number has commits by another author and is not changed. Merge or close it first." 0
    fi
}

# Sets `conflicts` and `left_out`, the files that need manual work. Skips the hooks, which would reject conflict markers.
commit() {
    git add --all
    git switch --quiet --force-create "$branch"
    left_out=
    if [ "${WITHOUT_TOKEN:-}" = true ]; then
        left_out=$(git diff --cached --name-only -- .github/workflows)
        git reset --quiet -- .github/workflows
    fi
    conflicts=$(
        git grep --cached -lIE '^(<{7}|>{7}) ' || true
        git ls-files -- '*.rej'
    )
    git commit --quiet --no-verify --message "$title"
}

publish() {
    by_hand=$conflicts$left_out
    text=$(mktemp)
    body >"$text"
    # Pushing the same content again would only dismiss approvals.
    if [ -z "$number" ] || ! git diff --quiet "$pushed" HEAD; then
        git push --quiet --force origin "HEAD:refs/heads/$branch"
    fi
    if [ -n "$number" ]; then
        gh pr edit "$number" --title "$title" --body-file "$text"
        gh pr ready "$number" ${by_hand:+--undo} || true # not every plan of GitHub has drafts
        return
    fi
    set -- --base "$base" --head "$branch" --title "$title" --body-file "$text"
    gh pr create "$@" ${by_hand:+--draft} || gh pr create "$@" || stop "The branch $branch was pushed, but GitHub refused the pull request.
Turn on \"Allow GitHub Actions to create and approve pull requests\" in Settings, Actions, General."
}

main() {
    source=$(answer _src_path)
    case $source in
        *file:/*) remote=no ;;
        *://* | gh:* | gl:* | *@*:*) remote=yes ;;
        *) remote=no ;;
    esac
    [ "$remote" = yes ] || stop "The template is a local folder, $source, which other machines cannot access.
Set its published location in $answers: \"_src_path: gh:OWNER/REPOSITORY\"." 0

    code=0
    env -u GH_TOKEN uvx --from 'copier>=9.19.1' copier check-update --quiet || code=$?
    case $code in
        0) stop "There is no newer version of the template than $(answer _commit)." 0 ;;
        2) ;; # there is one
        *) exit "$code" ;;
    esac

    base=$(git branch --show-current)
    [ -n "$base" ] && [ "$base" != "$branch" ] || stop "Switch to the main branch first: git switch main"
    find_pull_request
    old=$(answer _commit)
    code=0
    env -u GH_TOKEN sh .github/template-update.sh || code=$?
    case $code in
        0 | 3) ;; # 3: with conflicts
        *) stop "No pull request was opened, because the update failed. See above." "$code" ;;
    esac
    new=$(answer _commit)
    title="Update from the template: $old to $new"
    commit
    publish
}

main; exit
