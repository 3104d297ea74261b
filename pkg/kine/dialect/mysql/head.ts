import type { Head } from '#pkg/kine/dialect/dialect.ts'
import { MysqlError } from '#pkg/kine/dialect/mysql/errors.ts'
import { integer } from '#pkg/kine/dialect/mysql/row.ts'
import type { Row } from '#pkg/kine/dialect/mysql/session.ts'

/** Columns that `headOf` reads, in its order. */
export const HEAD_COLUMNS = 'revision,last_id,compact_rev,lease_seq'

/** The head in the one row of k0s_meta. */
export function headOf([row]: readonly Row[]): Head {
  if (row === undefined) throw new MysqlError('table k0s_meta is empty: restore the database', { lost: false })
  return {
    revision: integer(row[0]),
    lastId: integer(row[1]),
    compactRevision: integer(row[2]),
    leaseSeq: integer(row[3]),
  }
}
