package mqapi

import (
	"encoding/json"
	"slices"
	"testing"
)

// The overlay says what is Godwit's and nothing else; that botocore takes it, the interop suite shows.
func TestBotocoreExtras(t *testing.T) {
	raw, err := BotocoreExtras()
	if err != nil {
		t.Fatal(err)
	}
	type shape struct {
		Type    string
		Members map[string]struct{ Shape, Location, LocationName string }
		Member  struct{ Shape string }
	}
	var got struct {
		Version float64
		Merge   struct {
			Operations map[string]struct {
				HTTP struct{ Method, RequestURI string }
			}
			Shapes map[string]shape
		}
	}
	if err := json.Unmarshal(raw, &got); err != nil {
		t.Fatal(err)
	}
	if op := got.Merge.Operations["SwitchoverBroker"]; len(got.Merge.Operations) != 1 || op.HTTP.Method != "POST" || op.HTTP.RequestURI != "/v1/brokers/{broker-id}/switchover" {
		t.Errorf("operations %+v", got.Merge.Operations)
	}
	want := map[string][]string{
		"SwitchoverBrokerRequest": {"BrokerId", "Instance", "Plan"}, "SwitchoverBrokerResponse": {"BrokerId", "Clients", "From", "Instance"},
		"SwitchoverClient": {"ClientId", "Endpoint", "Reasons", "RemoteAddress", "Service"}, "BrokerInstance": {"Active", "ActiveSince"},
		"UpdateBrokerRequest": {"DeploymentMode", "Plan", "SubnetIds"}, "UpdateBrokerResponse": {"Cost", "DeploymentMode", "SubnetIds"}, "__listOfSwitchoverClient": nil,
	}
	for name, s := range got.Merge.Shapes {
		var members []string
		for m := range s.Members {
			members = append(members, m)
		}
		slices.Sort(members)
		if w, ok := want[name]; !ok || !slices.Equal(members, w) {
			t.Errorf("%s has %v; want %v", name, members, w)
		}
	}
	if len(got.Merge.Shapes) != len(want) {
		t.Errorf("%d shapes; want %d", len(got.Merge.Shapes), len(want))
	}
	if m := got.Merge.Shapes["SwitchoverBrokerRequest"].Members["BrokerId"]; m.Location != "uri" || m.LocationName != "broker-id" || m.Shape != "__string" {
		t.Errorf("BrokerId %+v", m)
	}
}
