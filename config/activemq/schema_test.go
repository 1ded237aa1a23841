package activemq

import (
	"archive/zip"
	"encoding/xml"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const schemaVersion = "6.3.1"

// schemaElement is an element of ActiveMQ's schema.
type schemaElement struct {
	Name       string `xml:"name,attr"`
	Ref        string `xml:"ref,attr"`
	Attributes []struct {
		Name string `xml:"name,attr"`
	} `xml:"complexType>attribute"`
	Children []schemaElement `xml:"complexType>choice>choice>element"`
	Direct   []schemaElement `xml:"complexType>choice>element"`
	Sequence []schemaElement `xml:"complexType>sequence>element"`
}

// TestSchema checks that there is a rule for each element that ActiveMQ's own schema allows inside <broker>, and for each of its attributes.
func TestSchema(t *testing.T) {
	elements := map[string]*schemaElement{}
	for i, schema := 0, readSchema(t); i < len(schema); i++ {
		elements[schema[i].Name] = &schema[i]
	}
	if len(elements) < 100 || elements["broker"] == nil {
		t.Fatalf("the schema has only %d elements", len(elements))
	}
	s := schemaWalk{t: t, books: newBooks(), elements: elements, seen: map[string]bool{}}
	s.element(elements["broker"], &node{name: "beans"})
	t.Logf("%d elements and %d attributes have rules", s.found, s.attributes)
}

type schemaWalk struct {
	t                 *testing.T
	books             books
	elements          map[string]*schemaElement
	seen              map[string]bool
	found, attributes int
}

func (s *schemaWalk) element(e *schemaElement, parent *node) {
	n := &node{name: e.Name, parent: parent}
	if e.Ref != "" {
		n.name = strings.TrimPrefix(e.Ref, "tns:")
		e = s.elements[n.name]
	}
	place := parent.name + "/" + n.name
	if s.seen[place] {
		return
	}
	s.seen[place] = true
	r := s.books.element(n)
	if r == nil {
		s.t.Errorf("no rule for the element %s", place)
		return
	}
	s.found++
	if r.whole {
		return
	}
	for _, a := range e.Attributes {
		if s.attributes++; s.books.attribute(n, a.Name) == nil {
			s.t.Errorf("no rule for the attribute %s of %s", a.Name, place)
		}
	}
	for _, c := range slices.Concat(e.Children, e.Direct, e.Sequence) {
		s.element(&c, n)
	}
}

// readSchema finds the schema in Maven's local repository, where the interoperability tests put it.
func readSchema(t *testing.T) []schemaElement {
	t.Helper()
	home, err := os.UserHomeDir()
	if err != nil {
		t.Skip(err)
	}
	jar := filepath.Join(home, ".m2/repository/org/apache/activemq/activemq-spring", schemaVersion, "activemq-spring-"+schemaVersion+".jar")
	if _, err := os.Stat(jar); err != nil {
		if os.Getenv("GODWIT_INTEROP") == "" {
			t.Skip("GODWIT_INTEROP=1 fetches ActiveMQ's schema through Maven")
		}
		out, err := exec.Command("mvn", "-q", "dependency:get", "-Dtransitive=false", "-Dartifact=org.apache.activemq:activemq-spring:"+schemaVersion).CombinedOutput()
		if err != nil {
			t.Fatalf("mvn: %v\n%s", err, out)
		}
	}
	archive, err := zip.OpenReader(jar)
	if err != nil {
		t.Fatal(err)
	}
	defer archive.Close()
	file, err := archive.Open("activemq.xsd")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	data, err := io.ReadAll(file)
	if err != nil {
		t.Fatal(err)
	}
	var schema struct {
		Elements []schemaElement `xml:"element"`
	}
	if err := xml.Unmarshal(data, &schema); err != nil {
		t.Fatal(err)
	}
	return schema.Elements
}
