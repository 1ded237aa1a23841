package managed

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/godwitmq/godwit/control/plane"
)

var (
	operator = plane.Origin{Who: "operator"}
	accounts = []plane.Origin{
		{Scope: plane.Scope{Account: "111111111111", Region: "eu-west-1"}, Who: "alice", From: "127.0.0.1"},
		{Scope: plane.Scope{Account: "222222222222", Region: "eu-west-1"}, Who: "bob", From: "127.0.0.2"},
	}
)

const hash = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA$a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2U"

// users give commands, and remember what they were promised.
type users struct {
	s       *sim
	n       int
	made    map[string]string // by token: the broker that it made
	deleted map[string]bool
	over    bool
}

func (u *users) begin(s *sim) {
	u.s, u.made, u.deleted = s, map[string]string{}, map[string]bool{}
	s.after(s.upTo(time.Second), u.act)
}

func pick[T any](s *sim, list []T) T { return list[s.rnd.IntN(len(list))] }

func ptr[T any](v T) *T { return &v }

func (u *users) id(kind string) string {
	u.n++
	return fmt.Sprintf("%s-%08d", kind, u.n)
}

// act gives one command after the other.
func (u *users) act() {
	s := u.s
	if s.calm {
		return
	}
	u.command()
	wait := s.upTo(400 * time.Millisecond)
	if s.chance(2) {
		s.skew += s.upTo(40 * time.Hour) // a maintenance window comes, perhaps
	}
	s.after(wait, u.act)
}

func (u *users) command() {
	s := u.s
	by := pick(s, accounts)
	state := s.plane.State()
	brokers := state.Brokers(by.Scope)
	groups := state.SecurityGroups(by.Scope)
	configurations := state.Configurations(by.Scope)
	ignore := func(*plane.Change, error) {}
	if len(brokers) == 0 || s.chance(15) {
		u.create(by, state)
		return
	}
	b := pick(s, brokers)
	name := fmt.Sprintf("user-%d", s.rnd.IntN(7))
	switch s.rnd.IntN(22) {
	case 0, 1:
		s.give(by, plane.DeleteBroker{ID: b.ID}, func(_ *plane.Change, err error) {
			if err == nil {
				u.deleted[b.ID] = true
			}
		})
		u.deleted[b.ID] = true // even if no answer comes
	case 2, 3:
		mode := plane.Pair
		if b.Goal.Mode == plane.Pair {
			mode = plane.Single
		}
		s.give(by, plane.UpdateBroker{ID: b.ID, Mode: &mode, Subnets: u.subnets(mode, state)}, ignore)
	case 4, 5:
		s.give(by, plane.UpdateBroker{ID: b.ID, Subnets: u.subnets(b.Goal.Mode, state)}, ignore)
	case 6:
		s.give(by, plane.UpdateBroker{ID: b.ID, Type: ptr(pick(s, []string{"mq.t3.micro", "mq.m5.medium", "mq.m5.large", "mq.m5.xlarge"}))}, ignore)
	case 7:
		s.give(by, plane.UpdateBroker{ID: b.ID, Version: ptr(pick(s, state.Versions()))}, ignore)
	case 8, 9:
		s.give(by, plane.RebootBroker{ID: b.ID, IfPending: s.chance(30)}, ignore)
	case 10, 11:
		s.give(by, plane.Switchover{ID: b.ID}, ignore)
	case 12:
		s.give(by, plane.CreateUser{Broker: b.ID, User: plane.NewUser{Name: name, Hash: hash, Groups: []string{"admins"}}}, ignore)
	case 13:
		s.give(by, plane.UpdateUser{Broker: b.ID, Name: name, Console: ptr(s.chance(50))}, ignore)
	case 14:
		s.give(by, plane.DeleteUser{Broker: b.ID, Name: name}, ignore)
	case 15:
		s.give(by, plane.CreateSecurityGroup{ID: u.id("sg"), Name: name, Rules: []plane.Rule{{Network: netip.MustParsePrefix("10.0.0.0/8"), To: 65535}}}, ignore)
	case 16:
		if len(groups) > 0 {
			g := pick(s, groups)
			s.give(by, plane.UpdateSecurityGroup{ID: g.ID, Rules: ptr(g.Rules[:s.rnd.IntN(len(g.Rules)+1)])}, ignore)
			s.give(by, plane.DeleteSecurityGroup{ID: pick(s, groups).ID}, ignore)
		}
	case 17:
		ids := []string{}
		for _, g := range groups {
			if s.chance(50) {
				ids = append(ids, g.ID)
			}
		}
		s.give(by, plane.UpdateBroker{ID: b.ID, SecurityGroups: &ids}, ignore)
	case 18:
		c := pick(s, configurations)
		s.give(by, plane.UpdateConfiguration{ID: c.ID, Data: fmt.Appendf(nil, "<broker n='%d'/>", u.n)}, ignore)
		s.give(by, plane.UpdateBroker{ID: b.ID, Configuration: &plane.ConfigurationRef{ID: c.ID}}, ignore)
	case 19:
		s.give(by, plane.DeleteConfiguration{ID: pick(s, configurations).ID}, ignore)
	case 20:
		s.give(by, plane.Tag{ID: b.ID, Tags: map[string]string{name: fmt.Sprint(u.n)}}, ignore)
	case 21:
		key := fmt.Sprintf("AKIA%016d", s.rnd.IntN(8))
		s.give(operator, plane.CreateKey{ID: key, Secret: "secretsecretsecret", Account: by.Account}, ignore)
		s.give(operator, plane.EnableKey{ID: key, Enabled: s.chance(50)}, ignore)
		if s.chance(50) {
			s.give(operator, plane.DeleteKey{ID: key}, ignore)
		}
	}
}

// subnets are some that fit a mode, or (nil) all.
func (u *users) subnets(mode plane.Mode, state *plane.State) *[]string {
	var all []string
	for _, n := range state.Nodes() {
		for _, id := range n.Subnets {
			if !slices.Contains(all, id) {
				all = append(all, id)
			}
		}
	}
	u.s.rnd.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	want := 1
	if mode == plane.Pair {
		want = 2
	}
	if len(all) < want || u.s.chance(40) {
		return &[]string{}
	}
	return ptr(all[:want])
}

// create makes a broker, and asks again with the same token until there is an answer; sometimes behind it.
func (u *users) create(by plane.Origin, state *plane.State) {
	s := u.s
	u.n++
	token := fmt.Sprint("token-", u.n)
	c := plane.CreateBroker{Name: fmt.Sprintf("broker-%d", s.rnd.IntN(8)), Token: token, RequestDigest: token, Mode: pick(s, []plane.Mode{plane.Single, plane.Pair}), Engine: plane.ActiveMQ,
		Type: pick(s, []string{"mq.t3.micro", "mq.m5.medium", "mq.m5.large"}), Users: []plane.NewUser{{Name: "admin", Hash: hash}}}
	c.Subnets = *u.subnets(c.Mode, state)
	var ask func()
	ask = func() {
		c.ID, c.Default = u.id("b"), &plane.CreateConfiguration{ID: u.id("c"), Name: u.id("of"), Engine: plane.ActiveMQ}
		answered := false
		s.give(by, c, func(change *plane.Change, err error) {
			answered = true
			if err != nil {
				if before := u.made[token]; before != "" && !u.deleted[before] {
					s.fail("token %s made broker %s, and is refused now: %v", token, before, err)
				}
				return
			}
			if before := u.made[token]; before != "" && before != change.ID && !u.deleted[before] {
				s.fail("token %s made broker %s, and %s now", token, before, change.ID)
			}
			u.made[token] = change.ID
		})
		if s.chance(30) { // twice at once, and the answers may be the last that the plane gives
			again := c
			again.ID = u.id("b")
			s.give(by, again, func(change *plane.Change, err error) {
				if err == nil {
					u.made[token] = change.ID
				}
			})
			s.after(s.upTo(4*time.Millisecond), s.die)
		}
		if s.chance(5) {
			other := c
			other.ID, other.RequestDigest = u.id("b"), "another"
			s.give(by, other, func(change *plane.Change, err error) {
				if id := u.made[token]; err == nil && id != "" && !u.deleted[id] {
					s.fail("token %s was taken for another request", token)
				}
				if err == nil {
					u.deleted[change.ID] = true // it is nobody's
				}
			})
		}
		s.after(s.upTo(2*time.Second), func() {
			if !s.calm && (!answered || s.chance(20)) {
				ask()
			}
		})
	}
	ask()
}

// audit sees that what was made is there.
func (u *users) audit(state *plane.State) {
	for token, id := range u.made {
		if state.Broker(plane.Scope{}, id) == nil && !u.deleted[id] {
			u.s.fail("broker %s, made with %s, does not exist, and nobody has deleted it", id, token)
		}
	}
}
