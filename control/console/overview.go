package console

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/godwitmq/godwit/control/api"
	"github.com/godwitmq/godwit/readiness"
)

// overview is a broker: its instances, where clients reach them, and who the clients are.
type overview struct {
	Alone     bool // no other instance can take over
	Instances []instance
	Active    *instance // nil: none is
	Managed   *api.Broker
	Connect   []connect
	Missing   []string // instances whose addresses are not known
	Clients   *api.Clients
	Unknown   string // why the clients are not known
	Crossing  crossing
	In, Out   float64 // messages a second; negative: not known
	Size      float64
	Standby   *instance // which would take over
}

// instance is a process of the broker.
type instance struct {
	api.Instance
	State string // of a managed one: starting, up, down
	Place string // zone and node
}

// Is says what it is, in a word.
func (i *instance) Is() string { return cmp.Or(i.Role, i.State, "unknown") }

// connect is what a kind of client has to be told.
type connect struct{ For, Text string }

// overviewOf asks for all of it. What one call cannot tell must not hide what the others do.
func overviewOf(v *view) (any, error) {
	o := &overview{In: -1, Out: -1, Size: -1}
	instances, err := v.api.Instances(v.ctx)
	var refused *api.Error
	alone := errors.As(err, &refused) && refused.Status == 409
	if v.Broker != "" {
		b, err := v.service.Broker(v.ctx, v.Broker)
		if err != nil {
			return nil, err
		}
		o.Managed = b
		v.Named = b.Name
		o.Alone = b.Mode == "SINGLE_INSTANCE"
		o.Instances = managedInstances(b, instances)
	} else if alone {
		o.Alone = true
		listeners, err := v.api.Listeners(v.ctx)
		if err != nil {
			return nil, err
		}
		version, err := v.api.Version(v.ctx)
		if err != nil {
			return nil, err
		}
		one := instance{Instance: api.Instance{Name: v.Named, Role: "active", Since: version.Started, Started: version.Started, Version: version.Version, Listeners: listeners}}
		for _, l := range listeners {
			one.Connections += l.Connections
		}
		o.Instances = []instance{one}
	} else {
		if err != nil {
			return nil, err
		}
		for _, i := range instances {
			o.Instances = append(o.Instances, instance{Instance: i})
		}
	}
	for n := range o.Instances {
		switch i := &o.Instances[n]; i.Role {
		case "active":
			o.Active = i
		case "standby":
			o.Standby = i
		}
	}
	o.Connect = connects(o.Instances)
	for _, i := range o.Instances {
		if i.Role == "unreachable" && len(i.Listeners) == 0 {
			o.Missing = append(o.Missing, i.Name)
		}
	}
	if o.Clients, err = v.api.Clients(v.ctx, false); err != nil {
		o.Unknown = sentence(err)
	} else {
		o.Crossing = crossingOf(v, o)
	}
	if h, err := v.api.History(v.ctx, ""); err == nil {
		o.In, o.Out, o.Size = latest(h.In), latest(h.Out), latest(h.Size)
	}
	return o, nil
}

// latest is the newest point, -1 if it is not known.
func latest(points []*float64) float64 {
	if len(points) == 0 || points[len(points)-1] == nil {
		return -1
	}
	return *points[len(points)-1]
}

// managedInstances joins what the service knows of a broker's instances to what they say of themselves.
func managedInstances(b *api.Broker, own []api.Instance) []instance {
	var list []instance
	for _, i := range b.Instances {
		one := instance{State: i.State, Place: strings.TrimSuffix(i.Zone+" / "+i.Node, " / "), Instance: api.Instance{Name: i.Name, Version: i.Version, Reason: i.Detail}}
		for _, x := range own {
			if x.Name == i.Name || strings.HasSuffix(i.Name, "-"+x.Name) {
				one.Instance = x
			}
		}
		one.Name = short(*b, i.Name)
		if one.Role == "" {
			switch {
			case i.Active:
				one.Role, one.Since = "active", b.ActiveSince
			case i.Witness:
				one.Role = "witness"
			}
		}
		one.Listeners = nil
		for _, url := range i.Endpoints { // those that clients are to use; the instance itself knows only its addresses
			one.Listeners = append(one.Listeners, api.Listener{URLs: []string{url}, Connections: -1})
		}
		list = append(list, one)
	}
	return list
}

// short is an instance's name for people: shop-1, where its id says nothing to them.
func short(b api.Broker, name string) string { return b.Name + strings.TrimPrefix(name, b.ID) }

// schemes are the kinds of clients' addresses, and how they are called, in the order in which they are shown.
var schemes = []struct{ scheme, name string }{
	{"ssl", "Java and other OpenWire clients, TLS"},
	{"tcp", "Java and other OpenWire clients"},
	{"stomp+ssl", "STOMP, TLS"},
	{"stomp", "STOMP"},
	{"amqp+ssl", "AMQP 1.0, TLS"},
	{"amqp", "AMQP 1.0"},
	{"mqtt+ssl", "MQTT, TLS"},
	{"mqtt", "MQTT"},
	{"wss", "WebSocket, TLS"},
}

// connects makes what clients are configured with of the addresses of all instances: failover URLs for those that understand them, lists of hosts for others.
func connects(instances []instance) []connect {
	hosts := map[string][]string{}
	for _, i := range instances {
		for _, l := range i.Listeners {
			for _, url := range l.URLs {
				scheme, host, _ := strings.Cut(url, "://")
				hosts[scheme] = append(hosts[scheme], host)
			}
		}
	}
	var list []connect
	for _, s := range schemes {
		all := hosts[s.scheme]
		if len(all) == 0 {
			continue
		}
		text := strings.Join(all, ",")
		if s.scheme == "ssl" || s.scheme == "tcp" {
			text = "failover:(" + s.scheme + "://" + strings.Join(all, ","+s.scheme+"://") + ")"
		}
		list = append(list, connect{s.name, text})
	}
	return list
}

// crossing is where each service's connections are: a line for each, with the instances left and right.
type crossing struct {
	Left, Right string // instances
	Rows        []lane
}

// lane is one service.
type lane struct {
	readiness.Service
	LeftCount, RightCount, Away int // connections; Away were here a moment ago
	Dots                        []dot
	Scale                       int // connections that a dot stands for
}

// dot is a connection, or Scale of them, in a picture that is laneWidth wide.
type dot struct {
	Key  string
	X    int
	Kind string // left, right, away
}

const (
	laneWidth = 420
	laneDots  = 18 // at most at a side
	dotWidth  = 10
)

// crossingOf draws where the connections are. While a page is looked at, connections that are missing are on their way.
func crossingOf(v *view, o *overview) crossing {
	var x crossing
	var sides []string
	for _, i := range o.Instances {
		if i.Role != "witness" {
			sides = append(sides, i.Name)
		}
	}
	if len(sides) > 0 {
		x.Left = sides[0]
	}
	if len(sides) > 1 {
		x.Right = sides[1]
	}
	now := map[string]*readiness.Service{}
	most := v.most
	if most == nil { // the page is just being opened
		most = map[string]int{}
	}
	names := slices.Collect(maps.Keys(most))
	for i := range o.Clients.Services {
		s := &o.Clients.Services[i]
		now[s.Name] = s
		names = append(names, s.Name)
	}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		s := now[name]
		if s == nil {
			s = &readiness.Service{Name: name, Verdict: "gone"}
		}
		row := lane{Service: *s}
		for node, n := range s.Nodes {
			if x.Right != "" && (node == x.Right || strings.HasSuffix(x.Right, "-"+node)) {
				row.RightCount += n
			} else {
				row.LeftCount += n
			}
		}
		most[name] = max(most[name], s.Connections)
		row.Away = most[name] - s.Connections
		row.draw()
		x.Rows = append(x.Rows, row)
	}
	v.session.look(v.place(), most)
	return x
}

// draw places the dots: those of the left instance from the left, those of the right one from the right, those on their way between. A dot keeps its number, so that it
// is seen to move.
func (l *lane) draw() {
	all := l.LeftCount + l.RightCount + l.Away
	l.Scale = max(1, (all+laneDots-1)/laneDots)
	dots := func(n int) int { return (n + l.Scale - 1) / l.Scale }
	left, away, right := dots(l.LeftCount), dots(l.Away), dots(l.RightCount)
	total := left + away + right
	for i := range total {
		d := dot{Key: fmt.Sprint(i)}
		switch {
		case i < left:
			d.Kind, d.X = "left", dotWidth+i*dotWidth
		case i < left+away:
			d.Kind, d.X = "away", laneWidth/2-away*dotWidth/2+(i-left)*dotWidth
		default:
			d.Kind, d.X = "right", laneWidth-dotWidth-(total-1-i)*dotWidth
		}
		l.Dots = append(l.Dots, d)
	}
}

// plan is the page before a switchover.
type plan struct {
	*overview
	To       string
	Problem  string // why it cannot be
	From     string
	Lag      uint64
	All      int
	Stays    []readiness.Service
	Stranded []api.StrandedClient // of a managed broker
	Known    bool                 // whether it is known who would not follow
	Cost     string
	Steps    []string
}

func planOf(v *view) (any, error) {
	o, err := overviewOf(v)
	if err != nil {
		return nil, err
	}
	p := &plan{overview: o.(*overview)}
	if v.most != nil { // only the picture goes on; the plan is that of when the page was asked for
		return p, nil
	}
	if v.Broker != "" {
		done, err := v.service.SwitchOverBroker(v.ctx, v.Broker, api.BrokerSwitchover{Plan: true})
		if err != nil {
			p.Problem = sentence(err)
			return p, nil
		}
		p.From, p.To, p.Cost, p.Steps, p.Stranded, p.Known = short(*p.Managed, done.From), short(*p.Managed, done.To), done.Cost, done.Steps, done.Clients, done.Clients != nil
		return p, nil
	}
	found, err := v.api.PlanSwitchOver(v.ctx, v.Query("to"))
	if err != nil {
		p.Problem = sentence(err)
		return p, nil
	}
	p.From, p.To, p.Lag, p.All, p.Stays, p.Known = found.From, found.To, found.Lag, found.All, found.Services, true
	return p, nil
}

func switchOver(v *view) (said, next string, err error) {
	to := v.r.PostFormValue("to")
	if v.Broker != "" {
		ask := api.BrokerSwitchover{}
		switch {
		case strings.HasSuffix(to, "-1"):
			ask.To = 1
		case strings.HasSuffix(to, "-2"):
			ask.To = 2
		}
		done, err := v.service.SwitchOverBroker(v.ctx, v.Broker, ask)
		if err != nil {
			return "", "", err
		}
		return fmt.Sprintf("The switchover has begun: %s.", done.Cost), "", nil
	}
	done, err := v.api.SwitchOver(v.ctx, to)
	if err != nil {
		return "", "", err
	}
	return fmt.Sprintf("%s has handed over to %s in %d ms.", done.From, done.To, done.Millis), "", nil
}

// brokersOf are the brokers of the service.
// serviceOf is one service with its connections.
func serviceOf(v *view) (any, error) { return v.api.Service(v.ctx, v.Query("name")) }

func probe(v *view) (said, next string, err error) {
	done, err := v.api.Probe(v.ctx, v.r.PostFormValue("name"), api.Probe{})
	if err != nil {
		return "", "", err
	}
	if !done.Back {
		return "", "", errors.New(done.Text)
	}
	return fmt.Sprintf("The client of connection %d follows: it %s.", done.Connection, done.Text), "", nil
}

func (c *Console) routes() {
	const lists, live = 2 * time.Second, time.Second
	c.at("overview", page{title: "Broker", role: api.Reader, every: live, model: overviewOf})
	c.at("switchover", page{title: "Switch over", role: api.Operator, every: live / 4, model: planOf})
	c.act("switchover", switchOver)
	c.at("service", page{title: "Service", role: api.Reader, every: lists, model: serviceOf})
	c.act("probe", probe)
	c.managedRoutes()
	c.queueRoutes()
}
