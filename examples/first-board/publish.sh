#!/usr/bin/env bash
# Publish what a board's repository holds: validate, verify, render, commit, push. Also while
# models are still being measured.
#     publish.sh BOARD
set -euo pipefail
cd "$1"
remote=$(git remote | head -n 1)
upstream() { git rev-parse --quiet --verify '@{upstream}' > /dev/null 2>&1; }
if upstream; then git pull --quiet --rebase --autostash; fi

# What is no valid record would stop the whole board: it is set aside, and measured anew next time.
if ! hiereval validate results; then
  for folder in results/*/; do
    name=$(basename "$folder")
    if ! hiereval validate "$folder" > /dev/null 2>&1; then
      mkdir -p logs refused
      mv "$folder" "refused/$name-$(date +%s)"
      echo "its records are not valid; they are now in refused/" > "logs/$name.failed"
    fi
  done
  hiereval validate results
fi
scripts/publish # verified/, README.md, site/
# Samples, 100 MB a model with its twins, stay here; verification records name them by hash.
git add -- README.md verified 'results/*.jsonl' ':!results/*/samples/*'
git diff --cached --quiet || git commit --quiet --message "Measure models"
if [ -z "$remote" ]; then
  echo "No remote to push to: the page is $PWD/site/index.html"
elif upstream; then
  git push --quiet
else
  git push --quiet --set-upstream "$remote" HEAD
fi
for failed in logs/*.failed; do
  [ ! -e "$failed" ] || echo "not measured: $(basename "$failed" .failed): $(cat "$failed")"
done
