#!/usr/bin/env bash
# Makes what a release carries: the chart and the plain manifests, with the published image in them.
#
#   publish.sh HELM IMAGE VERSION FOLDER     IMAGE without a tag, such as ghcr.io/owner/repository
set -euo pipefail

helm=$1 image=$2 version=$3 folder=$4
if [[ ! $image =~ ^[a-z0-9.:-]+(/[a-z0-9._-]+)+$ ]]; then
	echo "PUBLISHED is '$image': give registry and repository in lower case, such as ghcr.io/owner/repository" >&2
	exit 1
fi
work=$(mktemp --directory)
trap 'rm -rf "$work"' EXIT

cp -R manifests/chart "$work/chart"
sed -i \
	-e "s|^  registry: \"\"\$|  registry: ${image%%/*}|" \
	-e "s|^  repository: pod-identity-webhook\$|  repository: ${image#*/}|" "$work/chart/values.yaml"
"$helm" package --destination "$folder" "$work/chart"
sed "s|image: \"pod-identity-webhook:$version\"|image: \"$image:$version\"|" manifests/install.yaml >"$folder/install.yaml"

"$helm" template pod-identity-webhook "$folder/pod-identity-webhook-$version.tgz" >"$work/rendered.yaml"
for file in "$work/rendered.yaml" "$folder/install.yaml"; do
	if ! grep --quiet "image: \"$image:$version\"" "$file"; then
		echo "$(basename "$file") does not name $image:$version: look at how the chart names its image" >&2
		exit 1
	fi
done
