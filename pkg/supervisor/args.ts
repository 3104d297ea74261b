/** Flags by name without dashes; several values repeat the flag. */
export type Flags = Readonly<Record<string, string | readonly string[]>>

/**
 * Renders `--name=value` for each flag, sorted by name so that golden files and `ps` are stable. `=` keeps values that
 * start with a dash, and Go's boolean flags, unambiguous.
 */
export function toArgs(flags: Flags): string[] {
  return Object.keys(flags)
    .sort()
    .flatMap((name) => [flags[name] ?? []].flat().map((value) => `--${name}=${value}`))
}

/**
 * The command line of a component whose flags a user may change (k0s's `extraArgs` and `rawArgs`): `extra` replaces our
 * value of the same flag, a name may be given with its dashes; `raw` follows unchanged, so that it can repeat a flag or
 * use a short one.
 */
export function mergeExtraArgs(base: Flags, extra: Flags = {}, raw: readonly string[] = []): string[] {
  const named = Object.entries(extra).map(([name, value]) => [name.replace(/^--?/, ''), value] as const)
  return [...toArgs({ ...base, ...Object.fromEntries(named) }), ...raw]
}

/** What a command line gives the flag `name`, as `--name=value` or `--name value`; the last one counts, as in Go. */
export function flagValue(args: readonly string[], name: string): string | undefined {
  const flag = `--${name}`
  const at = args.findLastIndex((arg) => arg === flag || arg.startsWith(`${flag}=`))
  if (at === -1) return undefined
  return args[at] === flag ? args[at + 1] : args[at]?.slice(flag.length + 1)
}
