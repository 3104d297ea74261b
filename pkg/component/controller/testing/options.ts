import type { ControllerOptions } from '#pkg/component/controller/context.ts'

/** Options of a controller without system users, for tests; the caller says where it is and with what configuration. */
export function testOptions(given: Pick<ControllerOptions, 'vars' | 'spec' | 'nodeName'>): ControllerOptions {
  return {
    ...given,
    users: {
      etcd: undefined,
      kine: undefined,
      konnectivity: undefined,
      apiServer: undefined,
      scheduler: undefined,
      api: undefined,
    },
    single: false,
    logLevels: {},
    featureGates: {},
    controllerManagerExtraArgs: [],
    apiServerStopTimeoutMs: 60_000,
    tunnel: true,
    joinable: true,
  }
}
