// Only the ASN.1 part of node-forge is loaded: 15 ms and a fraction of the memory of the whole library (50 ms).
// Declared here with plain numbers for classes and types, as the enums of @types/node-forge exist at its root only.
declare module 'node-forge/lib/asn1.js' {
  namespace toolkit {
    /** A node of an ASN.1 tree; a string value holds one byte per character. */
    interface Asn1 {
      readonly tagClass: number
      readonly type: number
      readonly constructed: boolean
      readonly value: string | readonly Asn1[]
    }
    interface Bytes {
      getBytes(): string
    }
    interface Toolkit {
      create(tagClass: number, type: number, constructed: boolean, value: string | readonly Asn1[]): Asn1
      fromDer(bytes: string, options: { readonly strict: boolean; readonly decodeBitStrings: boolean }): Asn1
      toDer(node: Asn1): Bytes
      oidToDer(dotted: string): Bytes
      derToOid(bytes: string): string
      dateToUtcTime(date: Date): string
      utcTimeToDate(bytes: string): Date
      dateToGeneralizedTime(date: Date): string
      generalizedTimeToDate(bytes: string): Date
    }
  }
  const toolkit: toolkit.Toolkit
  export = toolkit
}
