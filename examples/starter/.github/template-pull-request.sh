#!/bin/sh
# What .github/workflows/template.yml does: if the template has a newer version, put the update on a branch of its own
# and open a pull request, or refresh the one that is open. Start it on the main branch, with everything committed.
#
# GH_TOKEN is for git and gh alone: what runs code of others (Copier, uv) does not see it.
#
# WITHOUT_TOKEN=true: there is no secret TEMPLATE_TOKEN, so GitHub takes no changes of workflows.
#
# All of it stands in functions, so the shell has read the file to its end before the update changes it.
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

# As a list in Markdown.
listed() {
    printf '%s\n' "$1" | sed "s/.*/- \`&\`/"
}

body() {
    cat <<END
From version $old to $new of the template, $source. \`CONTRIBUTING.md\`, "Follow the template", says how this works.
END
    [ -z "$conflicts" ] || cat <<END

### Conflicts to resolve

You and the template have changed the same lines. These files have conflict markers:

$(listed "$conflicts")

Get the branch, and keep what is right between \`<<<<<<<\` and \`>>>>>>>\`:

    git fetch origin && git switch $branch
    git grep -nE '^(<{7}|>{7}) '
    uv lock
    uv run just check
    git commit --all --message "Resolve the conflicts" && git push
END
    [ -z "$left_out" ] || cat <<END

### Not in here: workflows

GitHub's own token may not change these files, so they are as they were:

$(listed "$left_out")

Merge this only if you do not want their changes: a later update would not bring them again. To have them, add the secret
\`TEMPLATE_TOKEN\` and run the workflow "Template" again. Or update on your own machine, instead of this pull request:

    git switch --create follow-the-template
    uv run just template-update
END
    [ "${WITHOUT_TOKEN:-}" != true ] || cat <<END

### Checks have to be started

GitHub does not start them by itself for what its own token has opened. Press "Approve workflows to run"; if there is no
such button, close this pull request and open it again.
END
}

# Sets `number`, and ends if the branch has commits of somebody who may be resolving conflicts.
find_pull_request() {
    # A fork may have a branch of the same name.
    number=$(gh pr list --head "$branch" --state open --json number,isCrossRepository \
        --jq '.[] | select(.isCrossRepository | not) | .number')
    [ -n "$number" ] || return 0
    git fetch --quiet origin "$branch"
    pushed=$(git rev-parse FETCH_HEAD)
    if git log --format=%ce "HEAD..$pushed" | grep -qvxF "$(git config user.email)"; then
        stop "Pull request #$number has commits of somebody else and stays as it is. Merge or close it first." 0
    fi
}

# Sets `conflicts` and `left_out`, the files that need a person. No hooks: conflicts are to be seen, not refused.
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
    # The same again would only dismiss approvals.
    if [ -z "$number" ] || ! git diff --quiet "$pushed" HEAD; then
        git push --quiet --force origin "HEAD:refs/heads/$branch"
    fi
    if [ -n "$number" ]; then
        gh pr edit "$number" --title "$title" --body-file "$text"
        gh pr ready "$number" ${by_hand:+--undo} || true # not every plan of GitHub has drafts
        return
    fi
    set -- --base "$base" --head "$branch" --title "$title" --body-file "$text"
    gh pr create "$@" ${by_hand:+--draft} || gh pr create "$@" || stop "The branch $branch is pushed, but GitHub refuses the pull request.
Settings, Actions, General: \"Allow GitHub Actions to create and approve pull requests\" has to be on."
}

main() {
    source=$(answer _src_path)
    case $source in
        *file:/*) remote=no ;;
        *://* | gh:* | gl:* | *@*:*) remote=yes ;;
        *) remote=no ;;
    esac
    [ "$remote" = yes ] || stop "The template is a folder on somebody's machine, $source, and cannot be followed from elsewhere.
Write where it is published into $answers: \"_src_path: gh:OWNER/REPOSITORY\"." 0

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
        *) stop "There is no pull request: the update has failed, see above." "$code" ;;
    esac
    new=$(answer _commit)
    title="Update from the template: $old to $new"
    commit
    publish
}

main; exit
