import { K0sError } from '#pkg/errors/error.ts'

/** The user's part of containerd's configuration cannot be used. */
export class ContainerdConfigError extends K0sError {
  override readonly code = 'ERR_CONTAINERD_CONFIG'
}

/** This node cannot join: the token, the address in it, or the permission is not right. */
export class JoinError extends K0sError {
  override readonly code = 'ERR_WORKER_JOIN'
}

/** An image archive cannot be imported. */
export class ImageImportError extends K0sError {
  override readonly code = 'ERR_IMAGE_IMPORT'
}

/** The host lacks something that the pod network or Services need. */
export class HostNetworkError extends K0sError {
  override readonly code = 'ERR_HOST_NETWORK'
}
