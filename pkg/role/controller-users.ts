import type { ComponentUsers } from '#pkg/component/controller/context.ts'
import { storageComponent } from '#pkg/component/controller/context.ts'
import type { ResolvedSpec } from '#pkg/config/load.ts'
import { lookupUser } from '#pkg/file/user.ts'

type UserSettings = ResolvedSpec['installConfig']['users']

/** Which of spec.installConfig.users is whose. */
const settingOf = {
  etcd: 'etcdUser',
  kine: 'kineUser',
  konnectivity: 'konnectivityUser',
  apiServer: 'kubeAPIserverUser',
  scheduler: 'kubeSchedulerUser',
  api: 'k0sApiUser',
} as const satisfies Readonly<Record<keyof ComponentUsers, keyof UserSettings>>

/** Looks up the system user of each component of the control plane. */
export async function componentUsers({
  installConfig: { users },
}: Pick<ResolvedSpec, 'installConfig'>): Promise<ComponentUsers> {
  const found = await Promise.all(
    Object.entries(settingOf).map(
      async ([component, setting]) => [component, await lookupUser(users[setting])] as const,
    ),
  )
  return Object.fromEntries(found) as Record<keyof ComponentUsers, ComponentUsers[keyof ComponentUsers]>
}

/** Names of users that components of this controller would run as if they existed; pure. */
export function missingUsers(
  spec: ResolvedSpec,
  found: ComponentUsers,
  { joinable }: { readonly joinable: boolean },
): readonly string[] {
  const storage = storageComponent(spec)
  const runs = (component: keyof ComponentUsers): boolean => {
    if (component === 'etcd' || component === 'kine') return component === storage
    return component !== 'api' || joinable
  }
  const components = (Object.keys(settingOf) as (keyof ComponentUsers)[]).filter(runs)
  const names = components
    .filter((component) => found[component] === undefined)
    .map((component) => settingOf[component])
  return [...new Set(names.map((setting) => spec.installConfig.users[setting]))]
}
