/** A word for a POSIX shell: itself where nothing in it is special, else in single quotes. */
export function shellWord(word: string): string {
  return plain.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`
}

/**
 * A word of systemd's ExecStart= (systemd.service(5), "Command lines"): `%` starts a specifier and `$` a variable, quoted
 * or not; a backslash an escape.
 */
export function systemdWord(word: string): string {
  const escaped = word.replaceAll('%', '%%').replaceAll('$', '$$$$')
  if (plain.test(word)) return escaped
  const inQuotes = escaped
    .replaceAll('\\', '\\\\')
    .replaceAll('"', '\\"')
    .replaceAll('\n', '\\n')
    .replaceAll('\t', '\\t')
    .replaceAll('\r', '\\r')
  return `"${inQuotes}"`
}

/**
 * A value of an environment file that systemd (EnvironmentFile=, systemd.exec(5)) and a shell that sources the file read
 * alike: double quotes, in which a backslash stands before the four characters that are special there.
 */
export function environmentValue(value: string): string {
  return `"${value.replaceAll(/["\\`$]/g, '\\$&')}"`
}

/** Special neither to a shell nor to systemd. */
const plain = /^[\w@/:.,=+-]+$/
