import type { Component, StartContext } from '#pkg/component/component.ts'

/** What a fake component does; by default it starts at once and is ready. */
export interface Behaviour {
  readonly start?: (context: StartContext) => Promise<void>
  readonly ready?: (signal: AbortSignal) => Promise<void>
  readonly stop?: () => Promise<void>
}

/** A component that notes its calls in `calls`: `start a`, `ready a`, `stop a`. */
export function fakeComponent(
  name: string,
  after: readonly string[],
  calls: string[],
  behaviour: Behaviour = {},
): Component {
  return {
    name,
    after,
    async start(context) {
      calls.push(`start ${name}`)
      await behaviour.start?.(context)
    },
    async ready(signal) {
      await behaviour.ready?.(signal)
      calls.push(`ready ${name}`)
    },
    async stop() {
      calls.push(`stop ${name}`)
      await behaviour.stop?.()
    },
  }
}
