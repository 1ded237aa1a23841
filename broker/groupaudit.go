package broker

// groups checks the message groups of a backlog.
func (a *audit) groups(q *backlog, all []*entry, name string) {
	gs := q.groups
	if gs == nil {
		for _, e := range all {
			a.check(e.group == 0, "%s: entry %d is in a group, and there are none", name, e.stored.sequence)
		}
		return
	}
	type count struct{ size, ready, out int }
	counts := map[*group]*count{}
	owners := map[*group]map[*consumer]bool{}
	for _, e := range all {
		out := e.state == dispatched || e.state == settling
		if e.group != 0 {
			g := gs.group(e)
			if counts[g] == nil {
				counts[g], owners[g] = &count{}, map[*consumer]bool{}
			}
			counts[g].size++
			a.check(e.state == dying || out == (e.group&outBit != 0), "%s: entry %d of a group is in state %d and out: %v", name, e.stored.sequence, e.state, e.group&outBit != 0)
			if e.group&outBit != 0 {
				counts[g].out++
				if e.consumer != nil {
					owners[g][e.consumer] = true
				}
			}
			if e.state == ready {
				counts[g].ready++
				i := g.waiting.from(placeOf(e))
				a.check(i < len(g.waiting.all()) && g.waiting.all()[i] == e, "%s: ready entry %d is not in its group's list", name, e.stored.sequence)
			}
		} else if e.state == ready {
			a.check(!gs.noPlain && (gs.plain == nil || !placeOf(e).before(placeOf(gs.plain))), "%s: entry %d without a group is passed over", name, e.stored.sequence)
		}
	}
	known, owned := 0, map[*attachment]int{}
	for i, g := range gs.table {
		if g == nil {
			continue
		}
		known++
		c := counts[g]
		if c == nil {
			c = &count{}
		}
		a.check(int(g.number) == i+1, "%s: group %d is number %d", name, i+1, g.number)
		a.check(c.size == g.size && c.ready == g.ready && c.out == g.out, "%s: group %q counts %d entries, %d ready, %d out; has %+v", name, g.name, g.size, g.ready, g.out, *c)
		a.check(len(owners[g]) <= 1, "%s: group %q is at %d consumers", name, g.name, len(owners[g]))
		for c := range owners[g] {
			a.check(g.owner != nil && g.owner.consumer == c, "%s: group %q is at a consumer that does not own it", name, g.name)
		}
		if g.owner != nil {
			owned[g.owner]++
		}
		a.place(gs, g, name)
	}
	a.check(known == len(gs.byName)+len(gs.hashed), "%s: %d groups are in the table, %d by name, %d by hash", name, known, len(gs.byName), len(gs.hashed))
	for _, t := range q.attached {
		if t.owned != nil {
			a.check(owned[t] == t.owned.count, "%s: consumer %d counts %d groups, has %d", name, t.consumer.id, t.owned.count, owned[t])
		}
	}
}

// place checks in which heap a group is.
func (a *audit) place(gs *groups, g *group, name string) {
	var want *groupHeap
	switch {
	case g.ready == 0:
	case g.owner != nil && !g.closing:
		want = &g.owner.owned.heads
	case g.owner == nil && g.out == 0:
		want = &gs.nobodys
	}
	a.check(g.heap == want, "%s: group %q with %d ready and %d out is not in its heap", name, g.name, g.ready, g.out)
	a.check(want == nil || g.at < len(*want) && (*want)[g.at] == g, "%s: group %q is not at its place in its heap", name, g.name)
	a.check(want == nil || g.at == 0 || !placeOf(g.first()).before(placeOf((*want)[(g.at-1)/2].first())), "%s: group %q is out of order in its heap", name, g.name)
	a.check(g.size > 0 || g.owner != nil, "%s: group %q has neither messages nor an owner", name, g.name)
}
