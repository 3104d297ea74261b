import { readlink, rm, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { writeIfChanged } from '#embedded-bins/bundle/files.ts'

/**
 * build/k0s. A shell finds its own folder (a process for each symbolic link on the way, none otherwise) and becomes
 * Node.js, with a small young generation: 8 MB less of anonymous memory in a supervisor. kine, which makes objects with
 * every request, gets twice of it (docs/adr/0008-where-kines-time-goes.md); a controller's supervisor, which rests, half,
 * and one arena of malloc for all its threads: 4 MB less. Called as `kubectl` it is `k0s kubectl`, so that
 * a link of that name is all a host needs.
 */
export const launcher = `#!/bin/sh
self=$0
while [ -L "$self" ]; do
  link=$(readlink -- "$self")
  case $link in
    /*) self=$link ;;
    *) self=\${self%/*}/$link ;;
  esac
done
case $self in
  */*) lib=\${self%/*}/lib ;;
  *) lib=lib ;;
esac
case \${0##*/} in
  kubectl) set -- kubectl "$@" ;;
esac
case $1 in
  kine) young=4 ;;
  controller) young=1 MALLOC_ARENA_MAX=1; export MALLOC_ARENA_MAX ;;
  *) young=2 ;;
esac
export _K0S_SELF="$self"
exec "$lib/node" --disable-warning=ExperimentalWarning "--max-semi-space-size=$young" "$lib/k0s/main.mjs" "$@"
`

/** Writes build/k0s and build/kubectl, a link to it. */
export async function writeLaunchers(build: string): Promise<void> {
  await writeIfChanged(join(build, 'k0s'), launcher, 0o755)
  const kubectl = join(build, 'kubectl')
  if ((await readlink(kubectl).catch(() => undefined)) === 'k0s') return
  await rm(kubectl, { force: true })
  await symlink('k0s', kubectl)
}
