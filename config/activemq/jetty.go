package activemq

import (
	"net"
	"path/filepath"
	"slices"
	"strings"
)

// enterImport reads a file that the configuration includes.
func enterImport(im *importer, n *node, item *Item) {
	resource := im.properties.try(n.value("resource"))
	name := filepath.Base(resource)
	switch {
	case strings.Contains(name, "camel"):
		item.fail("Camel's routes do not run in the broker: run them in a process of their own, as a client")
		return
	case slices.Contains(im.reading, name):
		item.fail("imports itself")
		return
	}
	root, err := im.parse(im.path(resource))
	if err != nil {
		item.lack("cannot be read: %v", plainError(err))
		return
	}
	item.Words = "read as well"
	if !strings.Contains(name, "jetty") {
		im.document(root)
		return
	}
	item.Key = "http"
	im.console(root, item)
}

func (im *importer) parse(path string) (*node, error) {
	data, err := im.read(path)
	if err != nil {
		return nil, err
	}
	return parseXML(filepath.Base(path), data)
}

// jetty is what the web console's files say of interest.
type jetty struct {
	host, port string
	at         *Item
}

// console reads the files of the web server: old ones are Spring beans, new ones (6.3) are Jetty's own and a properties file.
func (im *importer) console(root *node, item *Item) {
	j := jetty{at: item}
	im.server(root, item)
	root.all(func(n *node) {
		class := n.value("class")
		switch {
		case n.name == "import":
			if inner, err := im.parse(im.path(n.value("resource"))); err == nil && !slices.Contains(im.reading, inner.file) {
				im.reading = append(im.reading, inner.file)
				im.console(inner, item)
			}
		case strings.HasSuffix(class, ".WebConsolePort"):
			j.host, j.port = im.beanProperty(n, "host"), im.beanProperty(n, "port")
		case strings.HasSuffix(class, ".HashLoginService"):
			im.access.realmFiles = append(im.access.realmFiles, im.path(im.beanProperty(n, "config")))
		case strings.HasSuffix(class, ".JettyServerBean"):
			im.jettyFiles(n, &j)
		}
	})
	if j.port != "" {
		im.consoleAddress(j)
	}
}

// server tells of all that is in a file of the web server, of which Godwit has none.
func (im *importer) server(root *node, item *Item) {
	outer, shared := im.within, im.shared
	im.within = item.Path
	at := len(im.items)
	im.shared = &Item{Path: item.Path, Verdict: NotNeeded, Words: "the web server's own"}
	im.element(root, root.file)
	for _, inner := range im.items[at:] {
		inner.around = item
	}
	im.within, im.shared = outer, shared
}

func (im *importer) beanProperty(n *node, name string) string {
	for _, c := range n.children {
		if c.name == "property" && c.value("name") == name {
			return im.properties.try(c.value("value"))
		}
	}
	return ""
}

// jettyFiles reads what a JettyServerBean does: jetty-spring.properties, and the files that it lists.
func (im *importer) jettyFiles(n *node, j *jetty) {
	folder := im.path(im.beanProperty(n, "jettyConfDirectory"))
	list := filepath.Join(folder, "jetty-spring.properties")
	data, err := im.read(list)
	if err != nil {
		im.entry("jetty-spring.properties", 0, "", "").lack("cannot be read: %v", plainError(err))
		return
	}
	loopback := false
	for _, l := range parseProperties(data) {
		value := l.value
		if secretName(l.key) {
			value = "(hidden)"
		}
		item := im.entry(filepath.Base(list), l.line, l.key, value)
		item.Verdict, item.Words = NotNeeded, "the web server's own"
		switch {
		case l.key == "jetty.http.host":
			j.host, item.Verdict, item.Key, item.Words = l.value, Mapped, "http.address", ""
		case l.key == "jetty.http.port":
			j.port, item.Verdict, item.Key, item.Words, j.at = l.value, Mapped, "http.address", "", item
		case l.key == "httpsEnabled" && l.value == "true":
			item.lack("set http.certificate and http.key for an API that speaks HTTPS")
		case l.key == "jettyXmlFiles":
			for name := range strings.SplitSeq(l.value, ",") {
				root, err := im.parse(filepath.Join(im.path(im.beanProperty(n, "jettyXmlDirectory")), filepath.Base(strings.TrimSpace(name))))
				if err != nil {
					item.lack("%s cannot be read: %v", name, plainError(err))
					continue
				}
				im.server(root, item)
				loopback = im.jettySecurity(root) || loopback
			}
		}
	}
	if j.host == "" && loopback {
		j.host = "127.0.0.1"
	}
}

// jettySecurity takes the users of the console's realm over, and says whether only this machine may use it.
func (im *importer) jettySecurity(root *node) (loopback bool) {
	root.all(func(n *node) {
		switch {
		case n.name == "Set" && n.value("name") == "loginModuleName" && n.text != "":
			item := im.entry(n.file, n.line, "loginModuleName", n.text)
			item.Key = "http.admins"
			im.access.consoles = append(im.access.consoles, item)
		case n.name == "Call" && n.value("name") == "include":
			var hosts []string
			n.all(func(at *node) {
				if at.name == "Item" {
					hosts = append(hosts, at.text)
				}
			})
			loopback = len(hosts) > 0 && !slices.ContainsFunc(hosts, func(h string) bool { ip := net.ParseIP(h); return ip == nil || !ip.IsLoopback() })
		}
	})
	return loopback
}

func (im *importer) consoleAddress(j jetty) {
	host := j.host
	if host == "" {
		host = "0.0.0.0"
	}
	address := net.JoinHostPort(host, j.port)
	im.put("http.address", address, j.at)
	j.at.Words = "the API, at " + address
}

// enterBean tells of a bean beside the broker by its class.
func enterBean(im *importer, n *node, item *Item) {
	class := im.properties.try(n.value("class"))
	known := func(parts ...string) bool {
		return slices.ContainsFunc(parts, func(p string) bool { return strings.Contains(class, p) })
	}
	inBroker := n.parent != nil && n.parent.name != "beans"
	switch {
	case known("jasypt") && !known("Placeholder"):
		item.Verdict, item.Matters, item.Words = NotNeeded, false, "decrypts what it is asked for; each value that it would is told where it stands"
	case isPlaceholderBean(n):
		item.Verdict, item.Matters, item.Words = Mapped, false, "the values are taken over where they are used"
	case known("hooks.SpringContextHook", "Log4jLogQuery", "log.log4j"):
		item.Verdict, item.Matters, item.Words = NotNeeded, false, "belongs to Java's way of starting and logging"
	case !inBroker && known("DataSource", "derby", "dbcp", "hikari", "c3p0"):
		item.Verdict, item.Matters, item.Words = NotNeeded, false, "a database, of which Godwit needs none"
	case !inBroker && known("jetty", "WebConsole"):
		item.Verdict, item.Matters, item.Words = NotNeeded, false, "the web server's own"
	case known("ShiroPlugin"):
		im.access.authenticates = item
		item.Words = "Shiro's users and rights are not read; add users and rights by hand"
	case inBroker && n.parent.name == "plugins":
		item.Words = "a plugin in Java does not run here: do what it does in a client"
	default:
		item.Words = "Java does not run here: run it in a process of its own, as a client"
	}
}
