"""Common names of persons in several cultures: small on purpose, since a column has many cells."""

from __future__ import annotations

import unicodedata

__all__ = ["CHINESE_SURNAMES", "FAMILY_NAMES", "GIVEN_NAMES", "folded"]


def folded(text: str) -> str:
    """Lower case without accents, since files write José and Jose."""
    parts = unicodedata.normalize("NFKD", text.lower())
    return "".join(letter for letter in parts if not unicodedata.combining(letter))


def _words(text: str) -> frozenset[str]:
    return frozenset(folded(text).split())


GIVEN_NAMES = _words(
    """
    aaron abdullah abigail ada adam agnes agnieszka ahmed aisha akira alan alba albert alberto aldo alejandro
    alessandro alessia alexander alexei alexis alfred ali alice ama amanda amber amit amy ana anastasia anders
    andrea andreas andrei andrew andrzej angela angelo anh anil anita anja anjali ann anna anneke anthony
    antoine antonio antónio aoi arjun arthur arun ashley astrid aurélie austin ayşe barbara beatriz benjamin
    bernd bertha betty beverly billy birgit björn bobby boris bradley brandon brenda brian brittany bruce bruno
    bryan camille carl carlo carlos carmen carol carolyn catarina catherine charles charlotte chen cheryl chiara
    chinedu chloe chloé christian christina christine christopher claudia colin cornelis cristina cynthia céline
    daisuke daniel daniela danielle david davide deborah debra deepak denise dennis derek diana diane diego
    dieter divya dmitri dolores domenico donald donna doris dorothy douglas dylan edgar edith edward ekaterina
    eleanor elena elif elisa elizabeth ella ellen elsie emeka emily emine emma emre enrique eric erik ernest
    ethan eugene evelyn ewa fang fatima fatma federica felix fernanda fernando florence florian frances
    francesca francesco franco frank françois fred frederick freja frieda fritz gabriel gabriela gary george
    gerhard giorgio giovanna giovanni gisela giulia giuseppe gloria grace graham gregory greta guillaume gustav
    günter hana hannah hans harold harry haruto hassan heather heike heinz helen helga helmut henry herbert
    hiroshi hong hugh hugo hui hussein hélène ian ibrahim ignacio igor ingrid inès inês irina isabel isabella
    isabelle ivan jack jacob jacqueline jacques james jan jana janet janice jason javier jean jeanne jeffrey
    jennifer jens jeremy jerry jesse jessica jesus ji-hoon jing jiwoo joan joaquin joe johan johannes john
    johnny jonas jonathan jordan jorge jose joseph joshua joyce joão juan judith judy jules julia julie julien
    juliette jun justin jürgen kai karen karin karl katarzyna katherine kathleen kathryn katrin kavita kayla
    keiko keith kelly kenji kenneth kevin khadija khalid kimberly klaus kofi krishna kristina krzysztof kwame
    kyle lakshmi larry lars laura lauren laurent lawrence layla lea lei lena leo li lily linda linh lisa logan
    lorenzo lori louis lucas lucia luciano lucy luigi luis lukas léa madison magdalena magnus manfred manon
    manuel marcin marco margaret margaux marguerite maria mariana marie marilyn mario marion mark marta martha
    martin martina mary maryam mathieu matteo matthew matthias maximilian małgorzata megan mehmet melissa mia
    michael michał michele michelle michiko miguel mikhail min ming minh minji minjun mohamed mohammed monika
    muhammad murat mustafa nadine nancy naoki natalia natalie nathalie nathan neha neil ngozi nguyen nicholas
    nicolas nicole nigel nikolai nils noah nour nuno oleg olga oliver olivia olivier omar oscar otto owen pablo
    pamela paola paolo pascal patricia patrick paul paula pauline pavel paweł pedro per peter petra philip
    philippe pierre pieter pietro pilar piotr pooja priya rachel rafael rahul rainer raj ralph ramesh ramon
    randy raquel raul ravi raymond rebecca renate riccardo richard robert rocio roger rohan ronald rosa roy
    ruben rui russell ruth ryan sabine sakura salvatore samantha samuel sandra sandrine sanjay sanne sara sarah
    scott sean sebastian seojun sergei sergio sharon shirley silke silvia simon simone sipho sofia soo-jin
    sophia sophie sota stefan stephanie stephen steven stuart sunil sunita suresh susan sven svetlana sylvie
    takashi tao tatiana teresa thabo theodore theresa thi thierry thomas théo tiago timothy tobias tomasz tyler
    ursula uwe valentina valeria valérie victoria vijay vikram vincent vincenzo virginia vladimir walter wayne
    wei willem william willie wolfgang xiaoming yan yasmin ying yoko yui yuki yuri yusuf yuto zachary zainab
    zeynep zoe zofia élodie александр алексей анастасия андрей анна борис владимир дмитрий екатерина елена иван
    игорь ирина мария михаил наталья николай олег ольга павел светлана сергей татьяна юрий
    """
)

FAMILY_NAMES = _words(
    """
    adams adeyemi ahmed albrecht ali allen almeida alonso alvarez andersen anderson andersson andré bailey baker
    bakker banerjee barbieri barnes bauer baumann beck becker bell bennett berger bernard bertrand bianchi blanc
    blanco bonnet bos braun brooks brown bruno bui burns butler campbell carter caruso carvalho castillo chavez
    chen cho choi clark coleman collins colombo conti cook cooper costa cox cruz dang das david davis demir deng
    diaz dixon dlamini domínguez dubois dupont durand díaz edwards eriksson esposito evans faure fernandes
    fernández ferrara ferrari ferreira fischer fisher flores fontana ford foster fournier frank franke françois
    friedrich fuchs galli gallo gao garcia garcía garnier ghosh gil giordano girard gomez gonzalez gonzález
    gonçalves graham gray greco green guerin guo gupta gustafsson gutierrez gutiérrez gómez günther hahn hall
    hamilton han hansen harris hart hartmann hassan he henderson henry hernandez hernández herrmann hill hoang
    hoffmann hofmann horvat howard hu huang huber hughes hunt hussain ibrahim ito ivanov ivanova iyer jackson
    james jang jansen jenkins jensen jimenez jiménez johansen johansson johnson jones joshi jung kaiser kamiński
    kang karlsson kato kaya keller kelly kennedy khan kim king klein kobayashi koch kovács kowalczyk kowalski
    kozlov krause kristiansen krüger kumar kuznetsov köhler könig lambert lang lange larsen larsson laurent le
    lebedev lee lefebvre lefèvre legrand lehmann leone leroux leroy lewandowski lewis li liang lim lin liu
    lombardi long longo lopez lorenz luo lópez ma maier malik mancini mariani marino marshall martin martinez
    martini martín martínez mason mathieu mayer mcdonald mehta meier meijer mendoza mensah mercier meyer michel
    miller mishra mitchell molina moore morales moreau morel moreno moretti morgan morin morris mueller mulder
    muller murphy murray muñoz myers möller müller nagy nair nakamura navarro nelson neumann nguyen nicolas
    nielsen nilsen nilsson nkosi novák nowak okafor okonkwo oliveira olsen olsson ortiz owens owusu palmer park
    parker patel pedersen peeters pereira perez perrin perry persson peters peterson petit petrov petrova pham
    phan phillips popov powell price pérez rahman ramirez ramos ramírez rao reddy reed reyes ribeiro ricci
    richard richardson richter rinaldi rivera rizzo robert roberts robinson rodrigues rodriguez rodríguez rogers
    romano romero ross rossi roth rousseau roussel roux ruiz russell russo sanchez sanders santoro santos sasaki
    sato schmid schmidt schmitt schneider scholz schröder schulz schulze schuster schwarz schäfer scott serrano
    shah sharma shaw sheikh shin sidorov silva simmons simon singh smirnov smirnova smit smith sokolov sousa
    souza stewart sullivan sun suzuki svensson svoboda szabó szymański sánchez sørensen takahashi tanaka tang
    taylor thomas thompson torres tran turner tóth vasquez verma vincent visser vogel volkov vos vu vázquez
    wagner walker wallace walter wang ward watanabe watson webb weber weiß wells werner white williams wilson
    winkler wiśniewski wolf wood wright wu wójcik xiao xie xu yamada yamamoto yang yilmaz yoon yoshida young
    zhang zhao zheng zhou zhu zieliński zimmermann álvarez çelik öztürk şahin волков иванов иванова козлов
    кузнецов лебедев петров петрова попов сидоров смирнов смирнова соколов
    """
)

CHINESE_SURNAMES = frozenset(
    "王李张刘陈杨黄赵吴周徐孙马朱胡郭何林高罗郑梁谢宋唐许韩冯邓曹彭曾肖田董袁潘于蒋蔡余杜叶程苏魏吕丁任沈姚卢姜崔钟"
    "谭陆汪范金石廖贾夏韦付方白邹孟熊秦邱江尹薛闫段雷侯龙史陶黎贺顾毛郝龚邵万钱严覃武戴莫孔向汤張劉陳楊黃趙吳孫馬羅"
    "鄭謝許韓馮鄧蕭葉蘇呂盧鐘譚陸賈"
)
