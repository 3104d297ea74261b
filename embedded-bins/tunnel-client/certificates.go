package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"flag"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// certificatesCommand makes an authority and one certificate for each argument FILE=COMMON_NAME[/ORGANIZATION], valid for
// servers at the addresses of --ips and for clients.
func certificatesCommand(flags *flag.FlagSet) func() (any, error) {
	dir := flags.String("dir", ".", "where the files go: ca.crt, FILE.crt and FILE.key")
	ips := flags.String("ips", "127.0.0.1", "addresses of the servers, comma separated")
	dns := flags.String("dns", "localhost", "names of the servers, comma separated")
	return func() (any, error) {
		names := serverNames{strings.Split(*ips, ","), strings.Split(*dns, ",")}
		ca, err := newAuthority("tunnel-test")
		if err != nil {
			return nil, err
		}
		if err := writePEM(filepath.Join(*dir, "ca.crt"), "CERTIFICATE", ca.certificate.Raw); err != nil {
			return nil, err
		}
		for _, argument := range flags.Args() {
			file, subject, found := strings.Cut(argument, "=")
			if !found {
				return nil, fmt.Errorf("%q is not FILE=COMMON_NAME[/ORGANIZATION]", argument)
			}
			if err := ca.issue(filepath.Join(*dir, file), subject, names); err != nil {
				return nil, err
			}
		}
		return nil, nil
	}
}

type serverNames struct{ ips, dns []string }

type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

func newAuthority(name string) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	certificate, err := x509.ParseCertificate(der)
	return &authority{certificate, key}, err
}

func (ca *authority) issue(path, subject string, names serverNames) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		return err
	}
	commonName, organization, _ := strings.Cut(subject, "/")
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: commonName},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		DNSNames:    names.dns,
	}
	if organization != "" {
		template.Subject.Organization = []string{organization}
	}
	for _, ip := range names.ips {
		template.IPAddresses = append(template.IPAddresses, net.ParseIP(ip))
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca.certificate, key.Public(), ca.key)
	if err != nil {
		return err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	if err := writePEM(path+".key", "PRIVATE KEY", keyDER); err != nil {
		return err
	}
	return writePEM(path+".crt", "CERTIFICATE", der)
}

func writePEM(path, kind string, der []byte) error {
	return os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
}
