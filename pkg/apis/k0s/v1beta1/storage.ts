import * as Type from 'typebox'
import { caSchema } from '#pkg/apis/k0s/v1beta1/api.ts'
import { extraArgs, item, oneOf, rawArgs, section } from '#pkg/apis/k0s/v1beta1/schema.ts'

const externalCluster = item({
  endpoints: Type.Array(Type.String(), { description: 'URLs of the members.', minItems: 1 }),
  etcdPrefix: Type.String({ description: 'All keys of this cluster are below it.', minLength: 1 }),
  caFile: Type.Optional(Type.String({ description: 'Authority of the servers.' })),
  clientCertFile: Type.Optional(Type.String({ description: 'Client certificate.' })),
  clientKeyFile: Type.Optional(Type.String({ description: 'Key of the client certificate.' })),
})

/** spec.storage. */
export const storageSchema = section('Where the cluster keeps its objects.', {
  type: Type.Optional(oneOf(['etcd', 'kine'], { description: 'Default: etcd; kine with --single.' })),
  etcd: section('etcd on the controllers, or elsewhere.', {
    peerAddress: Type.Optional(
      Type.String({ description: 'Address towards the other members. Default: spec.api.address.' }),
    ),
    ca: caSchema,
    externalCluster: Type.Optional(externalCluster),
    extraArgs,
    rawArgs,
  }),
  kine: section('A SQL database behind the etcd API.', {
    dataSource: Type.Optional(
      Type.String({ description: 'URL of the database. Default: SQLite in db/state.db of the data directory.' }),
    ),
    extraArgs,
    rawArgs,
  }),
})
