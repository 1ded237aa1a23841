package broker

func (b *Broker) keepRecent(d *destination) {}
func (b *Broker) ageRecent()                {}
