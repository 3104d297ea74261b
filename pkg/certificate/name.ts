import { type Asn1, child, children, dotted, oid, sequence, set, text, utf8 } from '#pkg/certificate/asn1.ts'
import { oids } from '#pkg/certificate/oids.ts'

/** The parts of a distinguished name that Kubernetes reads: user and groups. */
export interface Subject {
  readonly commonName: string
  readonly organizations: readonly string[]
}

/** RDNSequence of a subject: the organisations, then the common name. */
export function encodeName({ commonName, organizations }: Subject): Asn1 {
  const attribute = (type: string, value: string): Asn1 => set(sequence(oid(type), utf8(value)))
  return sequence(
    ...organizations.map((organization) => attribute(oids.organization, organization)),
    attribute(oids.commonName, commonName),
  )
}

/** Reads a RDNSequence; of several common names the last counts, as in Go's crypto/x509/pkix. */
export function decodeName(node: Asn1): Subject {
  const organizations: string[] = []
  let commonName = ''
  for (const rdn of children(node)) {
    for (const attribute of children(rdn)) {
      const type = dotted(child(attribute, 0))
      if (type === oids.organization) organizations.push(text(child(attribute, 1)))
      if (type === oids.commonName) commonName = text(child(attribute, 1))
    }
  }
  return { commonName, organizations }
}
