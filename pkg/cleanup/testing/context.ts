import type { ResetContext } from '#pkg/cleanup/step.ts'
import { cfgVars } from '#pkg/config/cfg-vars.ts'
import { silentLogger } from '#pkg/log/logger.ts'

/** What a step is run with in a test: a host without programs. */
export function resetContext(overrides: Partial<ResetContext> = {}): ResetContext {
  return {
    vars: cfgVars({ runDir: '/run/k0s' }),
    log: silentLogger,
    signal: new AbortController().signal,
    run: () => Promise.resolve(undefined),
    root: '/',
    worker: true,
    unfinished: false,
    ...overrides,
  }
}
