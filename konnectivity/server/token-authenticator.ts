import { withDeadline } from '#pkg/lifecycle/deadline.ts'
import { AgentRefusedError, AgentUnverifiedError } from '#konnectivity/server/identity.ts'
import type { AgentAuthenticator } from '#konnectivity/server/identity.ts'
import type { TokenReviewer } from '#konnectivity/server/kubernetes.ts'

/** Whose tokens are accepted: upstream's flags of the same names. */
export interface TokenAuthenticatorOptions {
  readonly agentNamespace: string
  readonly agentServiceAccount: string
  readonly authenticationAudience: string
}

/** How long an agent waits for the API server's opinion. */
const REVIEW_TIMEOUT_MS = 5_000
/** Longer ones are not passed on; the API server's own tokens have under 2 KiB. */
const MAX_TOKEN_CHARACTERS = 16 * 1024
/** RFC 6750, section 2.1. Two tokens are joined by a comma, which is not in it. */
const BEARER = /^Bearer ([A-Za-z0-9\-._~+/]+=*)$/

/**
 * Accepts bearer tokens of one service account, each asked about by TokenReview when its agent connects. Nothing is
 * cached: a token that was revoked a second ago is refused.
 */
export function tokenAuthenticator(
  options: TokenAuthenticatorOptions,
  deps: { readonly reviewer: TokenReviewer },
): AgentAuthenticator {
  const { agentNamespace, agentServiceAccount, authenticationAudience } = options
  const expected = `system:serviceaccount:${agentNamespace}:${agentServiceAccount}`
  return {
    authenticate: async ({ authorization }) => {
      const token = tokenOf(authorization)
      const result = await withDeadline(undefined, REVIEW_TIMEOUT_MS, (signal) =>
        deps.reviewer.review(token, authenticationAudience, { signal }),
      ).catch((cause: unknown) => {
        throw new AgentUnverifiedError('the API server could not be asked about the token', { cause })
      })
      // What exactly was wrong with a token is for our log, not for whoever sent it.
      if (!result.authenticated) throw new AgentRefusedError('token not valid', result.error)
      if (!result.audiences.includes(authenticationAudience)) {
        throw new AgentRefusedError('token not valid', `audiences ${result.audiences.join()}`)
      }
      if (result.username !== expected) {
        throw new AgentRefusedError('token of another account', `${result.username}, expected ${expected}`)
      }
      return { nodeName: undefined }
    },
  }
}

function tokenOf(authorization: string | undefined): string {
  if (authorization === undefined) throw new AgentRefusedError('no token')
  const token = authorization.length <= MAX_TOKEN_CHARACTERS ? BEARER.exec(authorization)?.[1] : undefined
  if (token === undefined) throw new AgentRefusedError('not exactly one bearer token')
  return token
}
