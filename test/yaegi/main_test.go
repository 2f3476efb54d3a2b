package yaegi
import ("testing";"os";"path/filepath";"net/http";"net/http/httptest";"context";"reflect"
"github.com/traefik/yaegi/interp";"github.com/traefik/yaegi/stdlib")
func TestLoad(t *testing.T){
 gp:=t.TempDir()
 for _,d:=range []string{"plugin","routes"}{ dst:=filepath.Join(gp,"src/github.com/edgehub/edgehub",d); os.MkdirAll(dst,0o755)
  fs,_:=filepath.Glob("../../"+d+"/*.go")
  for _,f:=range fs{ b,_:=os.ReadFile(f); os.WriteFile(filepath.Join(dst,filepath.Base(f)),b,0o644)}}
 i:=interp.New(interp.Options{GoPath:gp,Env:os.Environ()})
 if err:=i.Use(stdlib.Symbols);err!=nil{t.Fatal(err)}
 if _,err:=i.Eval(`import "github.com/edgehub/edgehub/plugin"`);err!=nil{t.Fatal(err)}
 cc,err:=i.Eval("plugin.CreateConfig"); if err!=nil{t.Fatal(err)}
 nw,err:=i.Eval("plugin.New"); if err!=nil{t.Fatal(err)}
 _, err = i.Eval("plugin.Files"); t.Log("Files:", err)
 cfg:=cc.Call(nil)[0]
 cfg.Elem().FieldByName("Etcd").Set(reflect.ValueOf([]string{"http://127.0.0.1:1"}))
 out:=nw.Call([]reflect.Value{reflect.ValueOf(context.Background()),reflect.Zero(reflect.TypeOf((*http.Handler)(nil)).Elem()),cfg,reflect.ValueOf("x")})
 h:=out[0].Interface().(http.Handler)
 rec:=httptest.NewRecorder(); h.ServeHTTP(rec,httptest.NewRequest("GET","/x",nil)); t.Log(rec.Code,rec.Body.String())
}
