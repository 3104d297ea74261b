import * as Type from 'typebox'
import { duration, extraArgs, port, rawArgs, section, strings } from '#pkg/apis/k0s/v1beta1/schema.ts'

/** How long a certificate authority and what it signs are valid. */
export const caSchema = section('Validity of the certificate authority and of what it signs.', {
  expiresAfter: duration('Life of a new authority.', '87600h0m0s'),
  certificatesExpireAfter: duration('Life of a new certificate; renewed after two thirds of it.', '8760h0m0s'),
})

/** spec.api. */
export const apiSchema = section('The Kubernetes API server and how it is reached.', {
  address: Type.Optional(Type.String({ description: 'Address of this controller. Default: its first public one.' })),
  onlyBindToAddress: Type.Boolean({ description: 'Listen on that address only, not on all.', default: false }),
  externalAddress: Type.Optional(
    Type.String({ description: 'Address of a load balancer in front of the controllers, for users.' }),
  ),
  sans: strings('More names and addresses of the API server certificate.'),
  port: port('Port of the Kubernetes API.', 6443),
  k0sApiPort: port('Port of the join API for controllers.', 9443),
  ca: caSchema,
  extraArgs,
  rawArgs,
})

/** spec.controllerManager and spec.scheduler. */
export const programSchema = (name: string): Type.TObject<{ extraArgs: typeof extraArgs; rawArgs: typeof rawArgs }> =>
  section(`Flags of ${name}.`, { extraArgs, rawArgs })
