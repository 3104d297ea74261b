import { testImage } from '#inttest/common/images.ts'

/** The web application of `make up`: one page from a ConfigMap, served by two non-root pods behind a Service. */
export function demoManifest(): string {
  return `
apiVersion: v1
kind: ConfigMap
metadata: { name: hello, namespace: default }
data:
  index.html: |
    <h1>Hello from a pod on an isolated worker</h1>
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: hello, namespace: default }
spec:
  replicas: 2
  selector: { matchLabels: { app: hello } }
  template:
    metadata: { labels: { app: hello } }
    spec:
      terminationGracePeriodSeconds: 1
      securityContext: { runAsNonRoot: true, runAsUser: 65532 }
      containers:
        - name: web
          image: ${testImage('tools')}
          command: [httpd, -f, -v, -p, '8080', -h, /www]
          ports: [{ containerPort: 8080 }]
          readinessProbe: { httpGet: { path: /, port: 8080 }, periodSeconds: 1 }
          volumeMounts: [{ name: www, mountPath: /www }]
      volumes: [{ name: www, configMap: { name: hello } }]
---
apiVersion: v1
kind: Service
metadata: { name: hello, namespace: default }
spec:
  selector: { app: hello }
  ports: [{ port: 80, targetPort: 8080 }]
`
}
