package activemq

import (
	"errors"
	"strings"

	"github.com/godwitmq/godwit/config"
)

// routes are what sends messages elsewhere, read so far.
type routes struct {
	interceptors bool // the block is there: it replaces the built-in virtual topics
	virtual      []config.VirtualTopic
	remember     bool
	mirrored     *Item // who wants all queues mirrored
	off          *Item // who switches virtual topics off
}

func enterInterceptors(im *importer, _ *node, item *Item) {
	im.routes.interceptors = true
	item.Words = "it replaces the built-in VirtualTopic.>"
}

// yes is an attribute's value; a wrong one has been told by its item.
func (im *importer) yes(n *node, name string, usual bool) bool {
	value := im.properties.try(n.value(name))
	b, err := parseBool(value)
	return err == nil && b || err != nil && usual
}

// trial adds something to the configuration if it stays right with that.
func (im *importer) trial(item *Item, add func(*config.Config)) bool {
	c := config.Default()
	c.Destinations, c.VirtualTopics, c.CompositeDestinations, c.MirroredQueues = im.config.Destinations, im.config.VirtualTopics, im.config.CompositeDestinations, im.config.MirroredQueues
	if im.routes.interceptors {
		c.VirtualTopics = im.routes.virtual
	}
	add(c)
	err := c.Validate()
	var problems config.Problems
	if errors.As(err, &problems) {
		item.fail("%s", problems[0].Text)
		return false
	}
	return true
}

// physical is the name of a queue or topic that is written as an element.
func (im *importer) physical(n *node) string {
	name := n.value("physicalName")
	if name == "" {
		name = n.value("name")
	}
	return n.name + "://" + im.properties.try(name)
}

func leaveDestination(im *importer, n *node, item *Item) {
	add := func(c *config.Config) {
		c.Destinations = append(c.Destinations[:len(c.Destinations):len(c.Destinations)], im.physical(n))
	}
	if im.trial(item, add) {
		add(im.config)
	}
}

func leaveVirtualTopic(im *importer, n *node, item *Item) {
	v := config.VirtualTopic{Topic: ">", Prefix: "Consumer.*.", Postfix: im.properties.try(n.value("postfix")),
		SelectorAware: im.yes(n, "selectorAware", false), DropWhenFull: im.yes(n, "dropOnResourceLimit", false), HideTopic: !im.yes(n, "setOriginalDestination", true)}
	for _, a := range n.attrs {
		switch a.name {
		case "name":
			v.Topic = im.properties.try(a.value)
		case "prefix":
			v.Prefix = im.properties.try(a.value)
		}
	}
	if v.Prefix == "" && v.Postfix == "" {
		item.fail("prefix and postfix are both empty: expected for example Consumer.*.")
		return
	}
	if im.trial(item, func(c *config.Config) {
		c.VirtualTopics = append(c.VirtualTopics[:len(c.VirtualTopics):len(c.VirtualTopics)], v)
	}) {
		im.routes.virtual = append(im.routes.virtual, v)
	}
}

func leaveComposite(im *importer, n *node, item *Item) {
	scheme := "queue://"
	if n.name == "compositeTopic" {
		scheme = "topic://"
	}
	x := config.CompositeDestination{Destination: scheme + im.properties.try(n.value("name")), AlsoHere: !im.yes(n, "forwardOnly", true), WhenNotMatched: im.yes(n, "sendWhenNotMatched", false)}
	for _, f := range n.children {
		if f.name != "forwardTo" {
			continue
		}
		for _, d := range f.children {
			switch {
			case d.name == "queue" || d.name == "topic":
				x.ForwardTo = append(x.ForwardTo, config.Forward{Destination: im.physical(d)})
			case d.name == "filteredDestination":
				x.ForwardTo = append(x.ForwardTo, im.filtered(d))
			}
		}
	}
	add := func(c *config.Config) {
		c.CompositeDestinations = append(c.CompositeDestinations[:len(c.CompositeDestinations):len(c.CompositeDestinations)], x)
	}
	if im.trial(item, add) {
		add(im.config)
	}
}

func (im *importer) filtered(n *node) config.Forward {
	f := config.Forward{Selector: im.properties.try(n.value("selector"))}
	for _, kind := range []string{"queue", "topic"} {
		if name := im.properties.try(n.value(kind)); name != "" {
			f.Destination = kind + "://" + strings.TrimSpace(name)
		}
	}
	return f
}

func leaveMirror(im *importer, n *node, item *Item) {
	m := config.MirroredQueues{Queues: ">", Prefix: im.properties.try(n.value("prefix")), Postfix: im.properties.try(n.value("postfix"))}
	add := func(c *config.Config) {
		c.MirroredQueues = append(c.MirroredQueues[:len(c.MirroredQueues):len(c.MirroredQueues)], m)
	}
	if im.trial(item, add) {
		add(im.config)
	}
}

func virtualTopics(im *importer, value string, item *Item) {
	if yes, err := parseBool(value); err != nil {
		item.fail("%v", err)
	} else if !yes {
		im.routes.off = item
	}
}

func mirroredQueues(im *importer, value string, item *Item) {
	if yes, err := parseBool(value); err != nil {
		item.fail("%v", err)
	} else if yes {
		im.routes.mirrored = item
	}
}

// finishRoutes decides on virtual topics and mirrored queues, of which both the broker's attributes and the interceptors speak.
func (im *importer) finishRoutes() {
	r, c := &im.routes, im.config
	switch {
	case r.interceptors:
		c.VirtualTopics = r.virtual
	case r.off != nil:
		c.VirtualTopics = nil
	}
	for i := range c.VirtualTopics {
		v := &c.VirtualTopics[i]
		v.RememberSelectors = r.remember && v.SelectorAware
	}
	if r.mirrored != nil && len(c.MirroredQueues) == 0 {
		c.MirroredQueues = []config.MirroredQueues{{Queues: ">"}}
	}
}

// dropRoutes leaves a list of routes out that is wrong only together with the others, and says whether it did.
func (im *importer) dropRoutes(p config.Problem) bool {
	list, _, _ := strings.Cut(p.Key, "[")
	c := im.config
	switch list {
	case "virtualTopics":
		c.VirtualTopics = nil
	case "compositeDestinations":
		c.CompositeDestinations = nil
	case "mirroredQueues":
		c.MirroredQueues = nil
	case "destinations":
		c.Destinations = nil
	default:
		return false
	}
	im.note(nil, NotSupported, true, "", "%s: %s; all of them were left out", list, p.Text)
	return true
}
