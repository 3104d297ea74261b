import { errnoCode, errorMessage, K0sError } from '#pkg/errors/error.ts'

/** A file or directory could not be read or written; the message names it, the reason and what to do. */
export class FileError extends K0sError {
  override readonly code = 'ERR_FILE'
  readonly path: string
  /** The system's name of the reason, for example `ENOSPC`; undefined when there is none. */
  readonly errno: string | undefined

  constructor(action: string, path: string, options: { readonly cause: unknown }) {
    const errno = errnoCode(options.cause)
    const reason = reasons[errno ?? ''] ?? errorMessage(options.cause)
    super(`cannot ${action} ${path}: ${reason}`, options)
    this.path = path
    this.errno = errno
  }
}

/** Reason and remedy by errno, in the words of a user. */
const reasons: Readonly<Record<string, string>> = {
  ENOSPC: 'disk full; free some space on its file system and try again',
  EDQUOT: 'disk full (quota used up); free some space and try again',
  EROFS: 'its file system is mounted read-only; use a writable directory',
  EACCES: 'permission denied; run as root or use a directory this user may write',
  EPERM: 'operation not permitted; run as root or use a directory this user may write',
  ENOENT: 'no such file or directory',
  ENOTDIR: 'a part of the path is a file, not a directory',
  EISDIR: 'it is a directory, not a file',
  EEXIST: 'something else is already there',
  ELOOP: 'too many symbolic links in the path',
  ENAMETOOLONG: 'the path is too long',
  EMFILE: 'too many open files; raise the limit (ulimit -n)',
  EIO: 'input/output error; check the disk',
}

/** Runs `fn` and turns a system error into a FileError about `path`; `action` is a verb: `write`, `create`. */
export async function asFileError<T>(action: string, path: string, fn: () => Promise<T>): Promise<T> {
  try {
    return await fn()
  } catch (err) {
    if (errnoCode(err) === undefined || err instanceof K0sError) throw err
    throw new FileError(action, path, { cause: err })
  }
}
