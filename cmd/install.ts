import { defineCommand } from '#cmd/define.ts'
import { controllerCommandFlags } from '#cmd/controller.ts'
import * as flag from '#cmd/flags/kinds.ts'
import { workerOptions } from '#cmd/flags/worker.ts'
import { joinTokenArg, workerCommandFlags } from '#cmd/worker.ts'
import { K0sError } from '#pkg/errors/error.ts'

/** The feature of this command is not there yet. */
export class NotAvailableError extends K0sError {
  override readonly code = 'ERR_NOT_AVAILABLE'
}

const serviceFlags = {
  force: flag.bool('replace a service that is there'),
  env: flag.array('environment of the service, NAME=VALUE; repeat for more', { short: 'e', valueName: 'name=value' }),
  start: flag.bool('start the service at once'),
}

export const installController = defineCommand({
  id: 'install controller',
  aliases: ['install server'],
  summary: 'Install a controller as a service of this host (not available yet)',
  description: 'Checks its flags, which are those of "k0s controller", and says how to run it instead.',
  examples: [
    { description: 'A controller', command: 'install controller' },
    { description: 'One that says that it runs no pods', command: 'install controller --enable-worker=false' },
  ],
  args: [joinTokenArg],
  flags: { ...controllerCommandFlags, ...serviceFlags },
  run: ({ flags }) => {
    workerOptions(flags)
    return Promise.reject(notAvailable('controller'))
  },
})

export const installWorker = defineCommand({
  id: 'install worker',
  summary: 'Install a worker as a service of this host (not available yet)',
  description: 'Checks its flags, which are those of "k0s worker", and says how to run it instead.',
  examples: [{ description: 'A worker', command: 'install worker --token-file /etc/k0s/token' }],
  args: [joinTokenArg],
  flags: { ...workerCommandFlags, ...serviceFlags },
  run: ({ flags }) => {
    workerOptions(flags)
    return Promise.reject(notAvailable('worker'))
  },
})

function notAvailable(role: string): NotAvailableError {
  return new NotAvailableError(
    `installing k0s as a service is not available in this version, nothing was changed; run "k0s ${role}" with the same flags in the foreground, or from a service of your own`,
  )
}
