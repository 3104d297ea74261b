import { versions } from '#embedded-bins/versions.ts'

/** One `go build`. */
export interface GoProgram {
  /** File name of the executable. */
  readonly name: string
  /** Folder of its go.mod. */
  readonly group: string
  /** `./x` is a main package of ours in the group's folder, anything else one of a module that go.mod requires. */
  readonly package: string
  /** Who needs it: the product, the test suites, one of their images, or a benchmark, which asks for it by name. */
  readonly use: 'product' | 'product-image' | 'test' | 'test-image' | 'bench'
  /** The names it answers to (argv[0]) when it is not only its own. */
  readonly answersTo?: readonly string[]
  /** Linker variables: `<import path>.<name>` to value. */
  readonly variables?: Readonly<Record<string, string>>
  /** Present where C is needed: build tags and the pkg-config names of the libraries. */
  readonly cgo?: { readonly tags: string; readonly libraries: readonly string[]; readonly flags?: readonly string[] }
  /** Seconds on two cores with empty caches, in this order of building; for the estimate that is shown. */
  readonly coldSeconds: number
}

const [major = '', minor = ''] = versions.kubernetes.slice(1).split('.')
/** What `--version` of the Kubernetes programs reads; the commit is not recorded in a Go module. */
const kubernetesVersion = Object.fromEntries(
  Object.entries({
    gitVersion: versions.kubernetes,
    gitMajor: major,
    gitMinor: minor,
    gitTreeState: 'clean',
    gitCommit: '',
  }).flatMap(([name, value]) =>
    ['k8s.io/component-base/version', 'k8s.io/client-go/pkg/version'].map((path) => [`${path}.${name}`, value]),
  ),
)
const cniVersion = {
  'github.com/containernetworking/plugins/pkg/utils/buildversion.BuildVersion': versions['cni-plugins'],
}
const cniPackage = 'github.com/containernetworking/plugins/plugins'

/** All programs in the order of building: the longest first, and what a cluster needs before what tests need. */
export const goPrograms: readonly GoProgram[] = [
  {
    name: 'kube',
    group: 'kubernetes',
    package: './kube',
    use: 'product',
    answersTo: [
      'kube-apiserver',
      'kube-controller-manager',
      'kube-scheduler',
      'kubelet',
      'kube-proxy',
      'kubectl',
      'flanneld',
    ],
    variables: { ...kubernetesVersion, 'github.com/flannel-io/flannel/pkg/version.Version': versions.flannel },
    coldSeconds: 600,
  },
  {
    name: 'etcd',
    group: 'etcd',
    package: './etcd',
    use: 'product',
    variables: { 'go.etcd.io/etcd/api/v3/version.GitSHA': versions.etcd },
    coldSeconds: 90,
  },
  {
    name: 'containerd',
    group: 'containerd',
    package: './containerd',
    use: 'product',
    answersTo: ['containerd', 'ctr'],
    variables: { 'github.com/containerd/containerd/v2/version.Version': versions.containerd },
    coldSeconds: 120,
  },
  {
    name: 'containerd-shim-runc-v2',
    group: 'containerd',
    package: 'github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2',
    use: 'product',
    variables: { 'github.com/containerd/containerd/v2/version.Version': versions.containerd },
    coldSeconds: 10,
  },
  {
    name: 'runc',
    group: 'runc',
    package: 'github.com/opencontainers/runc',
    use: 'product',
    cgo: { tags: 'netgo osusergo seccomp', libraries: ['libseccomp'] },
    coldSeconds: 20,
  },
  {
    name: 'host-local',
    group: 'cni',
    package: `${cniPackage}/ipam/host-local`,
    use: 'product',
    variables: cniVersion,
    coldSeconds: 5,
  },
  {
    name: 'loopback',
    group: 'cni',
    package: `${cniPackage}/main/loopback`,
    use: 'product',
    variables: cniVersion,
    coldSeconds: 3,
  },
  {
    name: 'portmap',
    group: 'cni',
    package: `${cniPackage}/meta/portmap`,
    use: 'product',
    variables: cniVersion,
    coldSeconds: 3,
  },
  {
    name: 'bridge',
    group: 'cni',
    package: `${cniPackage}/main/bridge`,
    use: 'product',
    variables: cniVersion,
    coldSeconds: 3,
  },
  {
    name: 'calico',
    group: 'calico',
    package: './cni',
    use: 'product',
    variables: { 'main.version': versions.calico },
    coldSeconds: 120,
  },
  {
    name: 'calico-felix',
    group: 'calico',
    package: './felix',
    use: 'product',
    variables: { 'github.com/projectcalico/calico/felix/buildinfo.GitVersion': versions.calico },
    coldSeconds: 80,
  },
  {
    name: 'coredns',
    group: 'coredns',
    package: '.',
    use: 'product-image',
    variables: { 'github.com/coredns/coredns/coremain.gitTag': versions.coredns },
    coldSeconds: 120,
  },
  {
    name: 'metrics-server',
    group: 'kubernetes',
    package: './metrics-server',
    use: 'product-image',
    variables: { 'k8s.io/client-go/pkg/version.gitVersion': versions['metrics-server'] },
    coldSeconds: 20,
  },
  {
    name: 'agnhost',
    group: 'kubernetes',
    package: 'k8s.io/kubernetes/test/images/agnhost',
    use: 'test-image',
    variables: { 'main.Version': versions.kubernetes },
    coldSeconds: 30,
  },
  { name: 'etcdctl', group: 'etcd', package: 'go.etcd.io/etcd/etcdctl/v3', use: 'test', coldSeconds: 20 },
  {
    name: 'etcd-benchmark',
    group: 'bench-etcd',
    package: 'go.etcd.io/etcd/v3/tools/benchmark',
    use: 'test',
    coldSeconds: 50,
  },
  { name: 'tunnel-client', group: 'tunnel-client', package: '.', use: 'test', coldSeconds: 30 },
  { name: 'bench-load', group: 'bench', package: './load', use: 'bench', coldSeconds: 40 },
  {
    name: 'upstream-kine',
    group: 'bench',
    package: 'github.com/k3s-io/kine',
    use: 'bench',
    variables: { 'github.com/k3s-io/kine/pkg/version.Version': versions['upstream-kine'] },
    // From its own scripts/build, without the NATS server and what only slows SQLite down.
    cgo: {
      tags: [
        'sqlite_unlock_notify sqlite_vtable sqlite_stat4 sqlite_preupdate_hook sqlite_math_functions sqlite_dbstat',
        'sqlite_column_metadata netgo osusergo',
      ].join(' '),
      libraries: [],
      flags: [
        '-DSQLITE_DEFAULT_MEMSTATUS=0',
        '-DSQLITE_LIKE_DOESNT_MATCH_BLOBS',
        '-DSQLITE_THREADSAFE=1',
        '-DSQLITE_WITHOUT_ZONEMALLOC',
      ],
    },
    coldSeconds: 300,
  },
]

/** Where under staging/ the executables for each use are put. */
export const programFolders = {
  product: 'bin',
  'product-image': 'image-bin',
  test: 'test-bin',
  'test-image': 'image-bin',
  bench: 'bench-bin',
} as const satisfies Record<GoProgram['use'], string>
