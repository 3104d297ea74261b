import { createHash, timingSafeEqual } from 'node:crypto'
import type { KubeClient } from '#pkg/kubernetes/client.ts'
import type { KubeObject } from '#pkg/kubernetes/types.ts'
import { parseBootstrapToken } from '#pkg/token/bootstrap-token.ts'
import type { TokenRole } from '#pkg/token/join-token.ts'
import { readTokenSecret, tokenSecretRef } from '#pkg/token/token-store.ts'

/** What a token that somebody shows is worth. `reason` is for the log, never for whoever shows it. */
export type TokenVerdict =
  { readonly valid: true; readonly id: string } | { readonly valid: false; readonly reason: string }

/**
 * Checks a bootstrap token `id.secret` against its Secret in the cluster. The comparison takes the same time for any
 * secret, and is made whether or not there is such a token.
 *
 * @throws KubeApiError, KubeConnectionError when the API server does not tell.
 */
export async function checkToken(
  client: Pick<KubeClient, 'find'>,
  text: string,
  options: { readonly role: TokenRole; readonly now?: Date; readonly signal?: AbortSignal },
): Promise<TokenVerdict> {
  const { role, now = new Date(), signal } = options
  const token = parseBootstrapToken(text)
  if (token === undefined) return refused('it is not of the form id.secret')
  const { ref, name } = tokenSecretRef(token.id)
  const object = await client.find(ref, name, { signal })
  const stored = readTokenSecret(object ?? nothing)
  const matches = sameText(token.secret, stored?.secret ?? '') && stored?.id === token.id
  if (object === undefined) return refused(`there is no token ${token.id}`)
  if (stored === undefined) return refused(`the Secret of token ${token.id} is not one of a bootstrap token`)
  if (!matches) return refused(`wrong secret for token ${token.id}`)
  if (stored.hasBadExpiration) return refused(`the expiration of token ${token.id} cannot be read`)
  if (stored.expiresAt !== undefined && stored.expiresAt <= now) {
    return refused(`token ${token.id} expired at ${stored.expiresAt.toISOString()}`)
  }
  if (!stored.roles.includes(role)) return refused(`token ${token.id} is not for a ${role}`)
  return { valid: true, id: token.id }
}

const nothing: KubeObject = { apiVersion: 'v1', kind: 'Secret', metadata: { name: '' } }

function refused(reason: string): TokenVerdict {
  return { valid: false, reason }
}

/** Digests have one length, so that nothing depends on how much of the texts is equal, or on their lengths. */
function sameText(a: string, b: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest()
  return timingSafeEqual(digest(a), digest(b))
}
