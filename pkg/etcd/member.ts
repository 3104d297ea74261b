/** One member of an etcd cluster. */
export interface EtcdMember {
  /** The uint64 in decimal digits, as etcd's APIs take it; `memberIdHex` is how its tools print it. */
  readonly id: string
  /** Empty until the member has started for the first time. */
  readonly name: string
  /** `https://host:2380` each. */
  readonly peerUrls: readonly string[]
  /** Does not vote and serves no clients: it is catching up. */
  readonly isLearner: boolean
}

/** An id as etcd's tools and log print it. */
export function memberIdHex(id: string): string {
  return BigInt(id).toString(16)
}

/** `name=URL` each, as --initial-cluster takes them. A member that has not started has no name: the caller gives it. */
export function initialCluster(
  members: readonly EtcdMember[],
  unstarted: { readonly peerUrl: string; readonly name: string },
): readonly string[] {
  return members.flatMap(({ name, peerUrls }) =>
    peerUrls.map((url) => `${name === '' && url === unstarted.peerUrl ? unstarted.name : name}=${url}`),
  )
}
