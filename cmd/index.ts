import { api } from '#cmd/api.ts'
import { configCreate, configValidate } from '#cmd/config.ts'
import { controller } from '#cmd/controller.ts'
import { ctr } from '#cmd/ctr.ts'
import { datastoreMigrate } from '#cmd/datastore.ts'
import type { CommandDefinition } from '#cmd/define.ts'
import { etcdLeave, etcdMemberList } from '#cmd/etcd.ts'
import { installController, installWorker } from '#cmd/install.ts'
import { kine } from '#cmd/kine.ts'
import { konnectivityAgent } from '#cmd/konnectivity-agent.ts'
import { konnectivityServer } from '#cmd/konnectivity-server.ts'
import { kubeconfigAdmin, kubeconfigCreate } from '#cmd/kubeconfig.ts'
import { kubectl } from '#cmd/kubectl.ts'
import { reset } from '#cmd/reset.ts'
import { start } from '#cmd/start.ts'
import { status, statusComponents } from '#cmd/status.ts'
import { stop } from '#cmd/stop.ts'
import { sysinfo } from '#cmd/sysinfo.ts'
import { tokenCreate, tokenInvalidate, tokenList, tokenPreShared } from '#cmd/token.ts'
import { version } from '#cmd/version.ts'
import { worker } from '#cmd/worker.ts'

/** Every command; a bundle has no folder to discover them in. */
export const commands: readonly CommandDefinition[] = [
  controller,
  worker,
  tokenCreate,
  tokenList,
  tokenInvalidate,
  tokenPreShared,
  kubeconfigAdmin,
  kubeconfigCreate,
  kubectl,
  ctr,
  status,
  statusComponents,
  start,
  stop,
  reset,
  configCreate,
  configValidate,
  sysinfo,
  version,
  installController,
  installWorker,
  etcdMemberList,
  etcdLeave,
  kine,
  datastoreMigrate,
  konnectivityServer,
  konnectivityAgent,
  api,
]
