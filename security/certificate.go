package security

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// attributeNames are the short names of RFC 4514 and those that Java prints, by object identifier.
var attributeNames = map[string]string{
	"2.5.4.3": "CN", "2.5.4.4": "SURNAME", "2.5.4.5": "SERIALNUMBER", "2.5.4.6": "C", "2.5.4.7": "L", "2.5.4.8": "ST",
	"2.5.4.9": "STREET", "2.5.4.10": "O", "2.5.4.11": "OU", "2.5.4.12": "T", "2.5.4.42": "GIVENNAME", "2.5.4.46": "DNQ",
	"0.9.2342.19200300.100.1.1": "UID", "0.9.2342.19200300.100.1.25": "DC", "1.2.840.113549.1.9.1": "EMAILADDRESS",
}

// attributeAliases are other names for the same.
var attributeAliases = map[string]string{"S": "ST", "SN": "SURNAME", "E": "EMAILADDRESS", "DNQUALIFIER": "DNQ", "TITLE": "T"}

// byCertificate is the user of a certificate and the text that refusals show; nil if it is nobody's.
func (s *snapshot) byCertificate(c *x509.Certificate) (*account, string) {
	if len(s.subjects) == 0 && len(s.certificates) == 0 {
		return nil, ""
	}
	elements, err := certificateName(c)
	if err != nil {
		return nil, ""
	}
	if acc := s.subjects[joinName(elements)]; acc != nil {
		return acc, javaText(elements)
	}
	for i := range s.certificates {
		if acc := s.certificates[i].account(s, c); acc != nil {
			return acc, javaText(elements)
		}
	}
	return nil, ""
}

func subjectText(c *x509.Certificate) string {
	elements, err := certificateName(c)
	if err != nil {
		return c.Subject.String()
	}
	return javaText(elements)
}

// attribute is one type and value; a name's elements are sets of them, in practice of one.
type attribute struct{ kind, value string }

// certificateName reads the subject, most specific element first, as both text forms have it.
func certificateName(c *x509.Certificate) ([][]attribute, error) {
	var sequence pkix.RDNSequence
	if rest, err := asn1.Unmarshal(c.RawSubject, &sequence); err != nil || len(rest) > 0 {
		return nil, errors.New("the certificate's subject is damaged")
	}
	var elements [][]attribute
	for _, set := range slices.Backward(sequence) {
		var element []attribute
		for _, tv := range set {
			kind := tv.Type.String()
			if short, ok := attributeNames[kind]; ok {
				kind = short
			}
			element = append(element, attribute{kind, fmt.Sprint(tv.Value)})
		}
		elements = append(elements, element)
	}
	return elements, nil
}

// joinName is a form in which equal names are equal texts.
func joinName(elements [][]attribute) string {
	var b strings.Builder
	for _, element := range elements {
		sorted := slices.SortedFunc(slices.Values(element), func(a, b attribute) int { return strings.Compare(a.kind+a.value, b.kind+b.value) })
		for _, a := range sorted {
			fmt.Fprintf(&b, "%q=%q+", a.kind, a.value)
		}
		b.WriteByte(',')
	}
	return b.String()
}

// javaText is how Java prints a name: "CN=client1, O=T", values with special characters in quotes.
func javaText(elements [][]attribute) string {
	var b strings.Builder
	for i, element := range elements {
		if i > 0 {
			b.WriteString(", ")
		}
		for j, a := range element {
			if j > 0 {
				b.WriteString(" + ")
			}
			value := a.value
			if strings.ContainsAny(value, ",+=\n<>#;\\\"") || strings.TrimSpace(value) != value {
				value = `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(value) + `"`
			}
			b.WriteString(a.kind + "=" + value)
		}
	}
	return b.String()
}

// parseName reads the text of a distinguished name (RFC 4514, with Java's blanks and quotes) into joinName's form.
func parseName(text string) (string, error) {
	var elements [][]attribute
	var element []attribute
	for rest := text; ; {
		kind, after, ok := strings.Cut(rest, "=")
		kind = strings.ToUpper(strings.TrimSpace(kind))
		if !ok || kind == "" || strings.ContainsAny(kind, ",+\"\\;") {
			return "", errors.New("expected a distinguished name such as CN=client1, O=T")
		}
		kind = strings.TrimPrefix(kind, "OID.")
		if short, ok := attributeNames[kind]; ok {
			kind = short
		}
		if other, ok := attributeAliases[kind]; ok {
			kind = other
		}
		value, end, after, err := parseValue(after)
		if err != nil {
			return "", err
		}
		element = append(element, attribute{kind, value})
		if end != '+' {
			elements, element = append(elements, element), nil
		}
		if end == 0 {
			return joinName(elements), nil
		}
		rest = after
	}
}

// parseValue reads a value up to ',', ';', '+' or the end (0), which it returns with what follows.
func parseValue(text string) (value string, end byte, rest string, err error) {
	text = strings.TrimLeft(text, " ")
	var b strings.Builder
	quoted := false
	kept := 0 // length that blanks at the end must not be cut below, since they were escaped or quoted
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\' && i+2 < len(text) && isHex(text[i+1]) && isHex(text[i+2]):
			two, _ := hex.DecodeString(text[i+1 : i+3])
			b.Write(two)
			i += 2
			kept = b.Len()
		case c == '\\' && i+1 < len(text):
			i++
			b.WriteByte(text[i])
			kept = b.Len()
		case c == '\\':
			return "", 0, "", errors.New(`the name ends with \`)
		case c == '"':
			quoted = !quoted
			kept = b.Len()
		case !quoted && (c == ',' || c == ';' || c == '+'):
			return cutBlanks(b.String(), kept), c, text[i+1:], nil
		default:
			b.WriteByte(c)
		}
	}
	if quoted {
		return "", 0, "", errors.New("a quote is not closed")
	}
	return cutBlanks(b.String(), kept), 0, "", nil
}

func cutBlanks(value string, kept int) string {
	return value[:kept] + strings.TrimRight(value[kept:], " ")
}

func isHex(c byte) bool { return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F' }
