package activemq

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/pavlo-v-chernykh/keystore-go/v4"
	"software.sslmate.com/src/go-pkcs12"
)

func tlsAttribute(name string) func(*importer, string, *Item) {
	return func(im *importer, value string, item *Item) {
		if im.transports.tls == nil {
			im.transports.tls = map[string]tlsSetting{}
		}
		im.transports.tls[name] = tlsSetting{value, item}
	}
}

// leaveTLS tells of passwords that cannot be read, without which a store cannot be opened.
func leaveTLS(im *importer, n *node, _ *Item) {
	for _, a := range n.attrs {
		if _, err := im.properties.expand(a.value); err != nil && secretName(a.name) {
			im.note(im.items[len(im.items)-1], NotSupported, true, "", "%s: %v", a.name, err)
		}
	}
}

// loadStores reads key store and trust store and makes PEM files of them.
func (im *importer) loadStores() {
	get := func(name string) string { return im.transports.tls[name].value }
	if s, ok := im.transports.tls["keyStore"]; ok {
		im.transports.storeItem = s.item
		chain, key, err := readKeyStore(im.read, im.path(s.value), get("keyStorePassword"), get("keyStoreKeyPassword"))
		if err != nil {
			s.item.fail("%s: %v; write certificate and key as PEM files (keytool -importkeystore -srckeystore %[1]s -destkeystore keys.p12 -deststoretype PKCS12, "+
				"then openssl pkcs12 -in keys.p12 -nodes) and set tls.certificate and tls.key", filepath.Base(im.path(s.value)), plainError(err))
		} else {
			im.config.TLS.Certificate = im.file("cert.pem", chain)
			im.config.TLS.Key = im.file("key.pem", key)
		}
	}
	if s, ok := im.transports.tls["trustStore"]; ok {
		authorities, err := readTrustStore(im.read, im.path(s.value), get("trustStorePassword"))
		if err != nil {
			s.item.fail("%s: %v; write its certificates as a PEM file (keytool -list -rfc -keystore %[1]s) and set tls.clientCA", filepath.Base(im.path(s.value)), plainError(err))
			return
		}
		im.config.TLS.ClientCA = im.file("ca.pem", authorities)
	}
}

// file adds one to be written beside godwit.yaml and gives its name.
func (im *importer) file(kind string, data []byte) string {
	name := im.options.Name + "-" + kind
	im.files = append(im.files, File{Name: name, Data: data})
	return name
}

// isJKS says whether a store is of Java's own old form. What its configuration calls it is often wrong, and Java does not heed it either.
func isJKS(data []byte) bool { return bytes.HasPrefix(data, []byte{0xFE, 0xED, 0xFE, 0xED}) }

// readKeyStore gives the certificates, ours first, and the private key, as PEM. A store with more than one key is an error: which one is meant
// cannot be known.
func readKeyStore(read func(string) ([]byte, error), path, password, keyPassword string) (chain, key []byte, err error) {
	data, err := read(path)
	if err != nil {
		return nil, nil, err
	}
	if keyPassword == "" {
		keyPassword = password
	}
	if isJKS(data) {
		return readJKS(data, password, keyPassword)
	}
	private, leaf, others, err := pkcs12.DecodeChain(data, password)
	if err != nil {
		return nil, nil, fmt.Errorf("is no PKCS12 or JKS key store that can be read with this password: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, nil, err
	}
	for _, c := range append([]*x509.Certificate{leaf}, others...) {
		chain = appendPEM(chain, "CERTIFICATE", c.Raw)
	}
	return chain, appendPEM(nil, "PRIVATE KEY", der), nil
}

func openJKS(data []byte, password string) (keystore.KeyStore, error) {
	store := keystore.New()
	if err := store.Load(bytes.NewReader(data), []byte(password)); err != nil {
		return store, fmt.Errorf("is no JKS store that can be read with this password: %w", err)
	}
	return store, nil
}

func readJKS(data []byte, password, keyPassword string) (chain, key []byte, err error) {
	store, err := openJKS(data, password)
	if err != nil {
		return nil, nil, err
	}
	for _, alias := range store.Aliases() {
		if !store.IsPrivateKeyEntry(alias) {
			continue
		}
		if key != nil {
			return nil, nil, errors.New("there is more than one key in it")
		}
		entry, err := store.GetPrivateKeyEntry(alias, []byte(keyPassword))
		if err != nil {
			return nil, nil, fmt.Errorf("its key cannot be read with this password: %w", err)
		}
		for _, c := range entry.CertificateChain {
			chain = appendPEM(chain, "CERTIFICATE", c.Content)
		}
		key = appendPEM(nil, "PRIVATE KEY", entry.PrivateKey)
	}
	if key == nil {
		return nil, nil, errors.New("there is no private key in it")
	}
	return chain, key, nil
}

// readTrustStore gives the certificates of authorities, as PEM.
func readTrustStore(read func(string) ([]byte, error), path, password string) ([]byte, error) {
	data, err := read(path)
	if err != nil {
		return nil, err
	}
	var out []byte
	if isJKS(data) {
		store, err := openJKS(data, password)
		if err != nil {
			return nil, err
		}
		aliases := store.Aliases()
		slices.Sort(aliases)
		for _, alias := range aliases {
			if entry, err := store.GetTrustedCertificateEntry(alias); err == nil {
				out = appendPEM(out, "CERTIFICATE", entry.Certificate.Content)
			}
		}
	} else {
		certificates, err := pkcs12.DecodeTrustStore(data, password)
		if err != nil {
			return nil, fmt.Errorf("is no PKCS12 or JKS trust store that can be read with this password: %w", err)
		}
		for _, c := range certificates {
			out = appendPEM(out, "CERTIFICATE", c.Raw)
		}
	}
	if out == nil {
		return nil, errors.New("there is no certificate of an authority in it")
	}
	return out, nil
}

func appendPEM(out []byte, kind string, der []byte) []byte {
	return append(out, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})...)
}
