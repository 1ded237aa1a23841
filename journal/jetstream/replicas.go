package jetstream

import "context"

// Behind names the nodes whose copies of the log are away or not complete, as the stream's leader sees it.
func (l *Log) Behind(ctx context.Context) ([]string, error) {
	info, err := l.s.Info(ctx)
	if err != nil || info.Cluster == nil {
		return nil, err
	}
	var behind []string
	for _, r := range info.Cluster.Replicas {
		if r.Offline || !r.Current {
			behind = append(behind, r.Name)
		}
	}
	return behind, nil
}
