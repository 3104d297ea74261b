/** A data source name as it may be shown: everything between the user's name and the last `@` is left out. */
export function redact(text: string): string {
  const [, scheme = '', rest = ''] = /^([a-z0-9+]+:\/\/)?(.*)$/s.exec(text) ?? []
  const at = rest.lastIndexOf('@')
  const query = /([?&](?:password|sslpassword)=)[^&]*/gi
  if (at < 0) return (scheme + rest).replace(query, '$1***')
  const [user = ''] = rest.slice(0, at).split(':')
  const secret = rest.slice(0, at).includes(':') ? ':***' : ''
  return `${scheme}${user}${secret}${rest.slice(at)}`.replace(query, '$1***')
}
