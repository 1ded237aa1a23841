package service

import (
	"context"
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/godwitmq/godwit/config/activemq"
	"github.com/godwitmq/godwit/control/mqapi"
	"github.com/godwitmq/godwit/control/plane"
	"github.com/godwitmq/godwit/control/plane/durable"
)

// defaultData is the first revision of a configuration: a broker as Godwit has it without being told.
const defaultData = `<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<broker xmlns="http://activemq.apache.org/schema/core">
</broker>
`

// defaultConfiguration is for a broker that is made without one.
func (s *Service) defaultConfiguration(state *plane.State, c mqapi.Caller, broker, version string) *plane.CreateConfiguration {
	id := durable.NewID("c")
	name := broker + "-configuration"
	taken := func(conf *plane.Configuration) bool { return conf.Name == name }
	if slices.ContainsFunc(state.Configurations(scope(c)), taken) { // that of a broker of before, which was left
		name += "-" + id[len(id)-12:]
	}
	return &plane.CreateConfiguration{ID: id, Name: name, Description: firstDescription(name, version), Engine: plane.ActiveMQ, Version: version, Data: []byte(defaultData)}
}

func firstDescription(name, version string) string {
	return fmt.Sprintf("Auto-generated default for %s on ActiveMQ %s", name, version)
}

// CreateConfiguration makes a configuration with revision 1, a broker's defaults.
func (s *Service) CreateConfiguration(ctx context.Context, c mqapi.Caller, r *mqapi.CreateConfigurationRequest) (*mqapi.CreateConfigurationResponse, error) {
	state, err := s.state()
	if err != nil {
		return nil, err
	}
	version := or(r.EngineVersion, state.Versions()[0])
	change, err := s.do(ctx, c, plane.CreateConfiguration{ID: durable.NewID("c"), Name: r.Name, Description: firstDescription(r.Name, version), Engine: engine(r.EngineType), Version: version,
		Authentication: string(or(r.AuthenticationStrategy, mqapi.AuthenticationStrategySimple)), Data: []byte(defaultData), Tags: r.Tags})
	if err != nil {
		return nil, err
	}
	conf := change.State.Configuration(scope(c), change.ID)
	return &mqapi.CreateConfigurationResponse{ARN: new(c.ConfigurationARN(conf.ID)), AuthenticationStrategy: new(mqapi.AuthenticationStrategy(conf.Authentication)), Created: &mqapi.Timestamp{Time: conf.Created},
		ID: &conf.ID, LatestRevision: latest(change.State, conf), Name: &conf.Name}, nil
}

// UpdateConfiguration adds a revision. Its bytes are kept as they are; the warnings tell what of it this broker does not do.
func (s *Service) UpdateConfiguration(ctx context.Context, c mqapi.Caller, r *mqapi.UpdateConfigurationRequest) (*mqapi.UpdateConfigurationResponse, error) {
	data, err := base64.StdEncoding.DecodeString(r.Data)
	if err != nil {
		return nil, mqapi.Errorf(mqapi.BadRequest, "data", "data is no base64: %v", err)
	}
	result, err := activemq.ImportAlone("data", data, activemq.Options{})
	if err != nil {
		return nil, mqapi.Errorf(mqapi.BadRequest, "data", "the configuration cannot be read: %v", err)
	}
	change, err := s.do(ctx, c, plane.UpdateConfiguration{ID: r.ConfigurationID, Description: text(r.Description), Data: data})
	if err != nil {
		return nil, err
	}
	conf := change.State.Configuration(scope(c), change.ID)
	return &mqapi.UpdateConfigurationResponse{ARN: new(c.ConfigurationARN(conf.ID)), Created: &mqapi.Timestamp{Time: conf.Created}, ID: &conf.ID, LatestRevision: latest(change.State, conf), Name: &conf.Name,
		Warnings: warnings(result.Items)}, nil
}

// maxWarnings is how many Amazon MQ gives.
const maxWarnings = 20

// warnings tell of elements and attributes that are not honoured, those that matter first; what is in an element that is not honoured is not told by itself. Amazon's words for that say that they
// were removed: in force they are not there, in the data they are.
func warnings(items []*activemq.Item) []mqapi.SanitizationWarning {
	list := []mqapi.SanitizationWarning{}
	elements := map[string]bool{} // paths of those that are not honoured
	for _, item := range items {
		if item.Verdict == activemq.NotSupported && item.Kind == activemq.Element {
			elements[item.Path] = true
		}
	}
	for _, matters := range []bool{true, false} {
		for _, item := range items {
			of, _, _ := strings.Cut(item.Path, "@")
			if item.Verdict != activemq.NotSupported || item.Matters != matters || item.Within != "" || item.Kind != activemq.Element && elements[of] || len(list) == maxWarnings {
				continue
			}
			element, attribute := item.Names()
			w := mqapi.SanitizationWarning{ElementName: &element}
			switch item.Kind {
			case activemq.Element:
				w.Reason = mqapi.SanitizationWarningReasonDisallowedElementRemoved
			case activemq.Attribute:
				w.AttributeName, w.Reason = &attribute, mqapi.SanitizationWarningReasonDisallowedAttributeRemoved
			case activemq.Option:
				w.AttributeName, w.Reason = &attribute, mqapi.SanitizationWarningReasonInvalidAttributeValueRemoved
			default:
				continue
			}
			list = append(list, w)
		}
	}
	return list
}

// latest is a configuration's newest revision.
func latest(state *plane.State, conf *plane.Configuration) *mqapi.ConfigurationRevision {
	return revision(state.Revision(plane.ConfigurationRef{ID: conf.ID, Revision: conf.Latest}))
}

func revision(r *plane.Revision) *mqapi.ConfigurationRevision {
	return &mqapi.ConfigurationRevision{Created: mqapi.Timestamp{Time: r.Created}, Description: &r.Description, Revision: int32(r.Number)}
}

// configuration finds one of the caller's.
func (s *Service) configuration(c mqapi.Caller, id string) (*plane.State, *plane.Configuration, error) {
	state, err := s.state()
	if err != nil {
		return nil, nil, err
	}
	conf := state.Configuration(scope(c), id)
	if conf == nil {
		return nil, nil, mqapi.Errorf(mqapi.NotFound, "configuration-id", "Can't find requested configuration [%s]. Make sure your configuration exists.", id)
	}
	return state, conf, nil
}

// DescribeConfiguration tells all of one but its data.
func (s *Service) DescribeConfiguration(_ context.Context, c mqapi.Caller, r *mqapi.DescribeConfigurationRequest) (*mqapi.DescribeConfigurationResponse, error) {
	state, conf, err := s.configuration(c, r.ConfigurationID)
	if err != nil {
		return nil, err
	}
	return &mqapi.DescribeConfigurationResponse{ARN: new(c.ConfigurationARN(conf.ID)), AuthenticationStrategy: new(mqapi.AuthenticationStrategy(conf.Authentication)), Created: &mqapi.Timestamp{Time: conf.Created},
		Description: &conf.Description, EngineType: new(mqapi.EngineTypeActiveMQ), EngineVersion: &conf.Version, ID: &conf.ID, LatestRevision: latest(state, conf), Name: &conf.Name, Tags: tags(conf.Tags)}, nil
}

// DescribeConfigurationRevision gives the data of a revision as it came.
func (s *Service) DescribeConfigurationRevision(_ context.Context, c mqapi.Caller, r *mqapi.DescribeConfigurationRevisionRequest) (*mqapi.DescribeConfigurationRevisionResponse, error) {
	state, conf, err := s.configuration(c, r.ConfigurationID)
	if err != nil {
		return nil, err
	}
	n, _ := strconv.Atoi(r.ConfigurationRevision) // the rules have seen to its form; one too large for an int is none that there is
	rev := state.Revision(plane.ConfigurationRef{ID: conf.ID, Revision: n})
	if rev == nil {
		return nil, mqapi.Errorf(mqapi.NotFound, "configuration-revision", "Can't find requested revision [%s] of configuration [%s]: the latest is %d.", r.ConfigurationRevision, conf.ID, conf.Latest)
	}
	return &mqapi.DescribeConfigurationRevisionResponse{ConfigurationID: &conf.ID, Created: &mqapi.Timestamp{Time: rev.Created}, Data: new(base64.StdEncoding.EncodeToString(rev.Data)), Description: &rev.Description}, nil
}

// ListConfigurations lists configurations by id.
func (s *Service) ListConfigurations(_ context.Context, c mqapi.Caller, r *mqapi.ListConfigurationsRequest) (*mqapi.ListConfigurationsResponse, error) {
	state, err := s.state()
	if err != nil {
		return nil, err
	}
	page, next := mqapi.Page(state.Configurations(scope(c)), func(conf *plane.Configuration) string { return conf.ID }, r.NextToken, r.MaxResults)
	answer := &mqapi.ListConfigurationsResponse{Configurations: []mqapi.Configuration{}, MaxResults: r.MaxResults, NextToken: next}
	for _, conf := range page {
		answer.Configurations = append(answer.Configurations, mqapi.Configuration{ARN: c.ConfigurationARN(conf.ID), AuthenticationStrategy: mqapi.AuthenticationStrategy(conf.Authentication),
			Created: mqapi.Timestamp{Time: conf.Created}, Description: conf.Description, EngineType: mqapi.EngineTypeActiveMQ, EngineVersion: conf.Version, ID: conf.ID, LatestRevision: *latest(state, conf),
			Name: conf.Name, Tags: tags(conf.Tags)})
	}
	return answer, nil
}

// ListConfigurationRevisions lists revisions from the first on.
func (s *Service) ListConfigurationRevisions(_ context.Context, c mqapi.Caller, r *mqapi.ListConfigurationRevisionsRequest) (*mqapi.ListConfigurationRevisionsResponse, error) {
	state, conf, err := s.configuration(c, r.ConfigurationID)
	if err != nil {
		return nil, err
	}
	all := make([]mqapi.ConfigurationRevision, 0, conf.Latest)
	for n := 1; n <= conf.Latest; n++ {
		all = append(all, *revision(state.Revision(plane.ConfigurationRef{ID: conf.ID, Revision: n})))
	}
	page, next := mqapi.Page(all, func(r mqapi.ConfigurationRevision) string { return fmt.Sprintf("%06d", r.Revision) }, r.NextToken, r.MaxResults)
	return &mqapi.ListConfigurationRevisionsResponse{ConfigurationID: &conf.ID, MaxResults: r.MaxResults, NextToken: next, Revisions: page}, nil
}

// DeleteConfiguration removes a configuration that no broker has, with all its revisions.
func (s *Service) DeleteConfiguration(ctx context.Context, c mqapi.Caller, r *mqapi.DeleteConfigurationRequest) (*mqapi.DeleteConfigurationResponse, error) {
	if _, err := s.do(ctx, c, plane.DeleteConfiguration{ID: r.ConfigurationID}); err != nil {
		return nil, err
	}
	return &mqapi.DeleteConfigurationResponse{ConfigurationID: &r.ConfigurationID}, nil
}

// CreateTags sets tags of a broker or a configuration.
func (s *Service) CreateTags(ctx context.Context, c mqapi.Caller, r *mqapi.CreateTagsRequest) error {
	arn, err := mqapi.ParseARN(r.ResourceARN)
	if err != nil {
		return err // the rules have seen to it
	}
	_, err = s.do(ctx, c, plane.Tag{ID: arn.ID, Tags: r.Tags})
	return err
}

// DeleteTags removes tags. One that is not there is no error.
func (s *Service) DeleteTags(ctx context.Context, c mqapi.Caller, r *mqapi.DeleteTagsRequest) error {
	arn, err := mqapi.ParseARN(r.ResourceARN)
	if err != nil {
		return err
	}
	_, err = s.do(ctx, c, plane.Untag{ID: arn.ID, Keys: r.TagKeys})
	return err
}

// ListTags lists the tags of a broker or a configuration.
func (s *Service) ListTags(_ context.Context, c mqapi.Caller, r *mqapi.ListTagsRequest) (*mqapi.ListTagsResponse, error) {
	state, err := s.state()
	if err != nil {
		return nil, err
	}
	arn, err := mqapi.ParseARN(r.ResourceARN)
	if err != nil {
		return nil, err
	}
	if b := state.Broker(scope(c), arn.ID); b != nil {
		return &mqapi.ListTagsResponse{Tags: tags(b.Tags)}, nil
	}
	if conf := state.Configuration(scope(c), arn.ID); conf != nil {
		return &mqapi.ListTagsResponse{Tags: tags(conf.Tags)}, nil
	}
	return nil, mqapi.Errorf(mqapi.NotFound, "resource-arn", "Can't find requested resource [%s]. Make sure your resource exists.", arn.ID)
}
